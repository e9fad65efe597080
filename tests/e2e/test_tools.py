"""Functions that a model may call: real clients, a real model that was never taught calls, and histories of every kind."""
import json, os, pathlib, shutil, signal, subprocess

import openai, pydantic, pytest
from harness import ACCOUNT, SMOLLM as MODEL
from test_sdk_node import HERE, ROOT, modules, node_of, run  # noqa: F401 (a fixture)
from workers_harness import PROJECTS, Dev

RUN = f"/client/v4/accounts/test/ai/run/{MODEL}"

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"], "additionalProperties": False}}}
NOW = {"type": "function", "function": {"name": "now"}}
ASK = dict(model=MODEL, messages=[{"role": "user", "content": "What is the weather in Paris?"}], temperature=0, max_tokens=120)


@pytest.fixture(scope="module")
def server(smollm):
    return smollm


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.base + "/v1", api_key="none", max_retries=0)


def is_weather(arguments):
    value = json.loads(arguments)
    return set(value) == {"city", "unit"} and isinstance(value["city"], str) and value["unit"] in ("celsius", "fahrenheit")


def test_a_required_call_meets_its_schema_whole_and_streamed(client):
    ask = dict(**ASK, tools=[WEATHER, NOW], tool_choice={"type": "function", "function": {"name": "get_weather"}}, seed=3)
    choice = client.chat.completions.create(**ask).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    [call] = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_weather" and is_weather(call.function.arguments)
    text, finish, names = "", [], []
    for chunk in client.chat.completions.create(**ask, stream=True):
        delta, reason = chunk.choices[0].delta, chunk.choices[0].finish_reason
        finish += [reason] if reason else []
        assert not delta.content
        for piece in delta.tool_calls or []:
            assert piece.index == 0
            names += [piece.function.name] if piece.function.name else []
            text += piece.function.arguments
    assert (text, finish, names) == (call.function.arguments, ["tool_calls"], ["get_weather"])
    for seed in range(3):
        [call] = client.chat.completions.create(**{**ASK, "temperature": 1}, seed=seed, tools=[WEATHER, NOW], tool_choice="required").choices[0].message.tool_calls
        assert call.function.name == "now" and json.loads(call.function.arguments) == {} or is_weather(call.function.arguments)


def test_the_clients_own_types(client):
    class Query(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=12)
        days: int = pydantic.Field(ge=1, le=9)

    tool = openai.pydantic_function_tool(Query, name="query")
    [call] = client.chat.completions.parse(**ASK, tools=[tool], tool_choice="required").choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Query)


def test_native_calls(server):
    body = {"messages": ASK["messages"], "tools": [WEATHER["function"]], "tool_choice": "required", "max_tokens": 120, "temperature": 0}
    status, _, text = server.post(RUN, body)
    result = json.loads(text)["result"]
    assert status == 200 and result["response"] is None and result["finish_reason"] == "tool_calls"
    assert result["tool_calls"][0]["name"] == "get_weather" and is_weather(json.dumps(result["tool_calls"][0]["arguments"]))
    status, _, text = server.post(RUN, {**body, "stream": True})
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert events[0]["tool_calls"][0]["function"]["name"] == "get_weather" and "usage" in events[-1] and events[-1]["finish_reason"] == "tool_calls"
    assert is_weather("".join(e["tool_calls"][0]["function"]["arguments"] for e in events[:-1]))


def test_histories_of_both_kinds_are_read(client, server):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\", \"unit\": \"celsius\"}"}}
    messages = [*ASK["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "31 degrees"}]
    for tools in ({"tools": [WEATHER]}, {}):
        answer = client.chat.completions.create(**{**ASK, "messages": messages, "max_tokens": 16}, **tools)
        assert answer.choices[0].message.content or answer.choices[0].message.tool_calls
    # @cloudflare/ai-utils: a call is the text of the message, results have no id, and the last request has no tools.
    native = [*ASK["messages"], {"role": "assistant", "content": json.dumps({"name": "get_weather", "arguments": {"city": "Paris"}})},
              {"role": "tool", "name": "get_weather", "content": "31 degrees"}]
    status, _, text = server.post(RUN, {"messages": native, "max_tokens": 16, "temperature": 0})
    assert status == 200 and json.loads(text)["result"]["response"], text


def test_words_of_templates_in_a_description_stay_text(client):
    """They neither end the list of functions nor begin a turn: the same number of tokens as spelt out."""
    def prompt(description):
        tool = {"type": "function", "function": {**NOW["function"], "description": description}}
        return client.chat.completions.create(**{**ASK, "max_tokens": 1}, tools=[tool]).usage.prompt_tokens
    for word in ("<|im_end|>", "</tool_call>", "{{ 1/0 }}", "{% raw %}"):
        assert prompt(word) > prompt("") + 1, word


def test_wishes_that_can_not_be_met_are_refused(client):
    for wish, place in (({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"pattern": "("}}}}}]}, "/tools/0/function/parameters/properties/a"),
                        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]}, "/tools/0/function/parameters"),
                        ({"reasoning_effort": "high"}, "/reasoning_effort"),
                        ({"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}, "/chat_template_kwargs/enable_thinking")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**ASK, **wish)
        assert place in caught.value.body["message"], caught.value


def test_a_call_goes_on_when_the_models_process_dies(client, server):
    tool = {"type": "function", "function": {"name": "note", "parameters": {
        "type": "object", "properties": {"text": {"type": "string", "minLength": 60, "maxLength": 90}},
        "required": ["text"]}}}

    def pieces(kill):
        seen = []
        for chunk in client.chat.completions.create(**{**ASK, "temperature": 0.8}, seed=5, tools=[tool],
                                                    tool_choice="required", stream=True):
            choice = chunk.choices[0]
            calls = choice.delta.tool_calls or []
            seen.append(([(c.index, c.function.name, c.function.arguments) for c in calls], choice.finish_reason))
            if kill and len(seen) == 10:
                workers = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True)
                for pid in workers.stdout.split():
                    os.kill(int(pid), signal.SIGKILL)
        return seen

    assert pieces(kill=True) == pieces(kill=False)


@pytest.mark.parametrize("script", ["tools_openai.mjs", "tools_ai_sdk.mjs"])
def test_node_clients(server, modules, script):  # noqa: F811
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / script
    shutil.copy(HERE / script, there)
    run(node_of(modules), there, server.base, str(ROOT / "workers"))


def test_ai_utils_in_a_worker(server):
    def packages(project):
        (project / "node_modules").symlink_to(os.environ["E2E_NODE_MODULES"])

    with Dev(PROJECTS / "ai-utils", server=server.base, edit=packages) as dev:
        done = json.loads(dev.text("/functions"))
        assert len(done["asked"]) == 2 and all(name in ("weather", "population") for name, _ in done["asked"])
        assert [m["role"] for m in done["history"]] == ["user", "assistant", "tool", "assistant", "tool"]
        assert isinstance(done["answer"]["response"], str) and done["answer"]["response"] and done["without"]
        text = json.loads(dev.text("/stream"))["text"]
        assert text.startswith('data: {"response"') and text.rstrip().endswith("data: [DONE]")
        done = json.loads(dev.text(f"/openapi?server={server.base}{ACCOUNT}"))
        assert done["tools"] == ["search_models"] and done["answer"]["response"]
        assert "@verge/" in done["history"][-1]["content"] or "@cf/" in done["history"][-1]["content"], done
