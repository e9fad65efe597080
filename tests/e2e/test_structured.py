"""JSON mode: real clients, and texts that only masks lead to, judged by a validator that is not ours."""
import enum, json, re, subprocess
from typing import Annotated, Literal

import jsonschema, openai, pydantic, pytest
from harness import SMOLLM, STORIES, VERGE

RUN = "/client/v4/accounts/test/ai/run/@t/stories"


class Kind(str, enum.Enum):
    cat = "cat"
    dog = "dog"


class Pet(pydantic.BaseModel):
    reason: Annotated[str, pydantic.Field(max_length=20)]
    kind: Kind
    age: Annotated[int, pydantic.Field(ge=1, le=30)]
    tags: Annotated[list[Literal["soft", "loud"]], pydantic.Field(max_length=2)]
    owner: Annotated[str, pydantic.Field(max_length=10)] | None


@pytest.fixture(scope="module")
def client(stories):
    return openai.OpenAI(base_url=stories.base + "/v1", api_key="none", max_retries=0)


ASK = dict(model="@t/stories", messages=[{"role": "user", "content": "A pet"}], max_tokens=300)


def test_parse_gives_the_clients_type(client):
    for seed in range(3):
        message = client.chat.completions.parse(**ASK, seed=seed, temperature=1, response_format=Pet).choices[0].message
        assert isinstance(message.parsed, Pet)
        assert list(json.loads(message.content)) == ["reason", "kind", "age", "tags", "owner"]


def test_a_stream_is_the_same_text(client):
    schema = {"type": "json_schema", "json_schema": {"name": "pet", "schema": Pet.model_json_schema()}}
    ask = dict(**ASK, seed=5, temperature=1, response_format=schema)
    whole = client.chat.completions.create(**ask).choices[0].message.content
    Pet.model_validate_json(whole)
    assert "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(**ask, stream=True) if c.choices) == whole
    many = client.chat.completions.create(**ask, n=4)
    assert many.choices[0].message.content == whole  # whatever else is in the batch
    for choice in many.choices:
        Pet.model_validate_json(choice.message.content)


def test_wishes_that_pull_against_the_schema(client):
    for wish in ({"extra_body": {"ignore_eos": True}}, {"logit_bias": {"3": 100}}, {"extra_body": {"min_p": 1.0}}, {"top_p": 0.01}):
        answer = client.chat.completions.parse(**ASK, seed=1, temperature=1, response_format=Pet, **wish)
        assert isinstance(answer.choices[0].message.parsed, Pet), wish


def native(stories, **body):
    status, _, text = stories.post(RUN, {"prompt": "A pet", "max_tokens": 300, **body})
    return status, json.loads(text)


def test_native_shapes(stories):
    schema = {"type": "object", "properties": {"b": {"type": "boolean"}, "a": {"enum": ["x", "y"]}}, "required": ["b", "a"], "additionalProperties": False}
    for form in ({"response_format": {"type": "json_schema", "json_schema": schema}}, {"guided_json": schema}):
        status, answer = native(stories, **form)
        assert status == 200 and list(answer["result"]["response"]) == ["b", "a"]
        jsonschema.validate(answer["result"]["response"], schema)
    status, answer = native(stories, guided_regex="[ab]{3}-[0-9]{2}")
    assert status == 200 and len(answer["result"]["response"]) == 6
    grammar = 'root ::= "(" [ab]{2} root? ")"'
    for form in ({"guided_grammar": grammar}, {"grammar": grammar}, {"structured_outputs": {"grammar": grammar}}):
        status, answer = native(stories, seed=3, **form)
        text = answer["result"]["response"]
        assert status == 200 and text.count("(") == text.count(")") and re.fullmatch(r"(\([ab]{2})+\)+", text)
    status, answer = native(stories, guided_grammar='root ::= "a"\nb ::= c')
    assert status == 400 and "'/guided_grammar' can't be used: at line 2, column 7" in answer["errors"][0]["message"]
    assert native(stories, guided_choice=["left", "right"])[1]["result"]["response"] in ("left", "right")
    status, answer = native(stories, response_format={"type": "json_schema", "json_schema": schema}, max_tokens=2)
    assert status == 400 and "JSON Mode couldn't be met" in answer["errors"][0]["message"]


@pytest.mark.parametrize("schema,place", [
    (False, "'/response_format/json_schema'"), (5, "/response_format/json_schema"), ({"type": "strin"}, "/response_format/json_schema' (type)"),
    ({"type": "string", "minLength": 5, "maxLength": 2}, "Length)"), ({"type": "array", "minItems": 4, "maxItems": 2}, "Items)"),
    ({"properties": {"a": {"pattern": "("}}}, "/response_format/json_schema/properties/a' (pattern)"),
    ({"$ref": "https://127.0.0.1/x"}, "($ref)"), ({"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]}, "without an end"),
    ({"enum": list(range(150_000))}, "(enum)"), ({"type": "string", "maxLength": -1}, "(maxLength)"), ({"unevaluatedItems": False}, "(unevaluatedItems)")])
def test_a_schema_that_cannot_be_met_is_a_400_that_names_the_place(stories, schema, place):
    status, answer = native(stories, response_format={"type": "json_schema", "json_schema": schema})
    assert status == 400 and place in answer["errors"][0]["message"], answer


def test_run_takes_a_schema_from_a_file(smollm, tmp_path):
    schema = {"type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}, "age": {"type": "integer", "minimum": 1, "maximum": 30}},
              "required": ["kind", "age"], "additionalProperties": False}
    file = tmp_path / "pet.json"

    def ask(content, *options):
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return subprocess.run([VERGE, "run", SMOLLM, "A cat of 7 years", "--schema", file, "--seed", "1", *options], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    for place in ((), ("--server", smollm.base)):
        done = ask(schema, *place)
        assert done.returncode == 0, done.stderr
        jsonschema.validate(json.loads(done.stdout), schema)
        done = ask({"type": "json_schema", "schema": schema, "name": "pet"}, "--json", *place)
        assert done.returncode == 1 and "pet.json#" in done.stderr, done
        done = ask({"name": "pet", "schema": schema}, "--json", *place)
        jsonschema.validate(json.loads(json.loads(done.stdout)["response"]), schema)
        done = ask({**schema, "properties": {**schema["properties"], "age": {"pattern": "("}}}, *place)
        assert done.returncode == 1 and "pet.json#/properties/age' (pattern)" in done.stderr, done.stderr
        done = ask(schema, "--max-tokens", "3", *place)
        assert done.returncode == 1 and ("JSON Mode couldn't be met" if place else "raise --max-tokens") in done.stderr
    done = ask("{")
    assert done.returncode == 1 and "pet.json" in done.stderr and not done.stdout
    assert ask("[1]").returncode == 1


WALKED = [
    {"type": "object", "properties": {"d": {"type": "string", "format": "date"}, "e": {"type": "string", "format": "email", "maxLength": 30}}, "required": ["d"]},
    {"type": "array", "items": {"type": "integer", "minimum": -20, "maximum": 4000, "multipleOf": 3}, "uniqueItems": True, "minItems": 1, "maxItems": 5},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}, "x": {"type": "number", "exclusiveMinimum": 0.25}}, "required": ["k", "x"], "additionalProperties": False},
               {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"], "minProperties": 2}]},
    {"type": "object", "patternProperties": {"^n_[a-z]+$": {"type": "number"}}, "additionalProperties": False, "minProperties": 1},
    {"if": {"type": "string"}, "then": {"pattern": "^(?!x)[a-z\"]{2,5}$"}, "else": {"type": ["null", "boolean"]}},
    {"$defs": {"t": {"type": "object", "properties": {"v": {"type": "null"}, "c": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}}, "required": ["v"],
                     "additionalProperties": False}}, "$ref": "#/$defs/t"},
    {"type": "array", "contains": {"const": 1}, "minContains": 2, "maxContains": 3, "items": {"type": "integer"}, "maxItems": 6},
    {"type": "object", "dependentRequired": {"a": ["b"]}, "propertyNames": {"enum": ["a", "b", "c"]}, "additionalProperties": {"type": "boolean"}},
]


def test_walks_by_masks_validate():
    lines = "".join(json.dumps({"id": i, "schema": s, "walks": 40}) + "\n" for i, s in enumerate(WALKED))
    done = subprocess.run([VERGE, "grammar", f"{STORIES}/stories260K-f32.gguf"], input=lines, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        schema = WALKED[answer["id"]]
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        texts = [t for t in answer["walks"] if t is not None]
        assert len(texts) > 20, (schema, answer)
        for text in texts:
            pairs = json.loads(text, object_pairs_hook=lambda p: dict(p) if len(dict(p)) == len(p) else pytest.fail(text))
            validator.validate(pairs)
