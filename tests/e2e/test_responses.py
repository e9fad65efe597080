"""OpenAI's Responses and Anthropic's Messages: their own packages, the agents' kits, and what is kept."""
import concurrent.futures, json, os, pathlib, shutil, signal, subprocess
from typing import Literal

import anthropic, openai, pydantic, pytest
from harness import SMOLLM as MODEL, STORIES, VERGE, Server
from test_sdk_node import modules, node_of, run  # noqa: F401

HERE = pathlib.Path(__file__).parent / "responses"
ASK = dict(model="@t/stories", temperature=0, max_output_tokens=12)


class Pet(pydantic.BaseModel):
    kind: Literal["cat", "dog"]
    soft: bool


@pytest.fixture(scope="module")
def client(stories):
    return openai.OpenAI(base_url=stories.base + "/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("script", ["openai.mjs", "agents.mjs", "ai_sdk.mjs", "anthropic.mjs"])
def test_node_clients(smollm, modules, script):  # noqa: F811
    there = pathlib.Path(os.environ["E2E_RESPONSES"]) / script
    shutil.copy(HERE / script, there)
    run(node_of(modules), there, smollm.base, MODEL)


def test_openai(client):
    first = client.responses.create(**ASK, input="A pet", instructions="Be brief.")
    assert first.status == "incomplete" and first.incomplete_details.reason == "max_output_tokens"
    assert client.responses.retrieve(first.id).output_text == first.output_text
    with client.responses.stream(**ASK, input="A pet", instructions="Be brief.") as stream:
        events = list(stream)
    assert events[-1].type == "response.incomplete" and events[-1].response.output_text == first.output_text
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == first.output_text
    second = client.responses.create(**ASK, input=[{"role": "user", "content": "And?"}], previous_response_id=first.id)
    assert [i.role for i in client.responses.input_items.list(second.id, order="asc")] == ["user", "assistant", "user"]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    parsed = client.responses.parse(model="@t/stories", extra_body={"seed": 2}, temperature=1, input="A pet", text_format=Pet)
    assert isinstance(parsed.output_parsed, Pet)


def test_openai_agents(smollm):
    import agents

    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=smollm.base + "/v1", api_key="none", max_retries=0)
    model = agents.OpenAIResponsesModel(model=MODEL, openai_client=client)
    asked = []

    @agents.function_tool
    def age_of(kind: Literal["cat", "dog"]) -> str:
        """Age of a pet."""
        asked.append(kind)
        return "7"

    settings = agents.ModelSettings(temperature=0, tool_choice="required", parallel_tool_calls=False)
    keeper = agents.Agent(name="Keeper", instructions="Be brief.", model=model, tools=[age_of], tool_use_behavior="stop_on_first_tool", model_settings=settings)
    assert agents.Runner.run_sync(keeper, "How old is the cat?").final_output == "7" and len(asked) == 1
    typed = agents.Agent(name="Typed", model=model, output_type=Pet, model_settings=agents.ModelSettings(temperature=1))
    first = agents.Runner.run_sync(typed, "A pet")
    assert isinstance(first.final_output, Pet)
    again = agents.Runner.run_sync(typed, "Another one", previous_response_id=first.last_response_id)
    assert isinstance(again.final_output, Pet)


def test_anthropic(stories):
    client = anthropic.Anthropic(base_url=stories.base, api_key="none", max_retries=0)
    ask = dict(model="@t/stories", max_tokens=12, extra_body={"temperature": 0}, messages=[{"role": "user", "content": "A pet"}])
    whole = client.messages.create(**ask, system="Be brief.")
    with client.messages.stream(**ask, system="Be brief.") as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
        assert stream.get_final_message().stop_reason == "max_tokens"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**{**ask, "model": "@t/none"})


# Promises: RB1.
def test_what_was_reported_complete_survives_kill_9_and_is_backed_up(tmp_path):
    data, copy = str(tmp_path / "data"), str(tmp_path / "copy")
    models = [f"@t/stories={STORIES}/stories260K-f32.gguf"]
    with Server(models=models, data=data) as server:
        ask = lambda i: server.post("/v1/responses", {**ASK, "input": f"Pet {i}", "stream": i % 2 == 1})[2]
        with concurrent.futures.ThreadPoolExecutor(8) as several:
            answers = list(several.map(ask, range(24)))
        server.stop(signal.SIGKILL)
    last = [a if a.startswith("{") else a.rstrip().rsplit("data: ", 1)[1] for a in answers]
    made = [body.get("response", body) for body in map(json.loads, last)]
    with Server(models=models, data=data) as server:
        for response in made:
            assert json.loads(server.get(f"/v1/responses/{response['id']}")[2]) == response
        subprocess.run([VERGE, "backup", "--data", data, copy], check=True, capture_output=True)
    with Server("--responses-kept", "30", models=models, data=copy) as server:
        assert json.loads(server.get(f"/v1/responses/{made[0]['id']}")[2]) == made[0]


def test_tokens_of_accounts_read_their_own(tmp_path):
    data = str(tmp_path / "data")
    token = lambda account: json.loads(subprocess.run([VERGE, "token", "create", "--account", account, "--data", data, "--json"], check=True, capture_output=True, text=True).stdout)["token"]
    mine, other = token("a"), token("b")
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf"], data=data) as server:
        bearer = lambda secret: {"authorization": f"Bearer {secret}"}
        made = json.loads(server.post("/v1/responses", {**ASK, "input": "A pet"}, bearer(mine))[2])
        assert server.get(f"/v1/responses/{made['id']}", bearer(mine))[0] == 200
        assert server.get(f"/v1/responses/{made['id']}", bearer(other))[0] == 404
        assert server.get(f"/v1/responses/{made['id']}")[0] == 401
        message = {"model": "@t/stories", "max_tokens": 4, "messages": [{"role": "user", "content": "A pet"}]}
        assert server.post("/v1/messages", message, {"x-api-key": mine})[0] == 200
        status, _, text = server.post("/v1/messages", message, {"x-api-key": "wrong"})
        assert status == 401 and json.loads(text)["error"]["type"] == "authentication_error"


def test_a_shared_prefix_is_read_once_for_chats_that_come_together(smollm):
    rules = " ".join(f"Rule {i}: keep item {i * 7 % 101} apart." for i in range(80))
    ask = lambda i: json.loads(smollm.post("/v1/chat/completions", {
        "model": MODEL, "max_tokens": 2, "temperature": 0,
        "messages": [{"role": "system", "content": rules}, {"role": "user", "content": f"Question {i}?"}]})[2])["usage"]
    smollm.post("/v1/chat/completions", {"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]})
    with concurrent.futures.ThreadPoolExecutor(16) as several:
        usages = list(several.map(ask, range(16)))
    length = usages[0]["prompt_tokens"]
    assert length > 900
    computed = sum(u["prompt_tokens"] - u["prompt_tokens_details"]["cached_tokens"] for u in usages)
    assert computed < length + 16 * 40
