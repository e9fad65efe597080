"""Frameworks over OpenAI's API: answers typed by a schema, a tool's round trip, streams."""
import os, pathlib, shutil
from typing import Annotated, Literal

import instructor, openai, pydantic, pytest
from harness import MODELS, SMOLLM as MODEL
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic_ai import Agent, ModelSettings, NativeOutput, ToolOutput
from pydantic_ai.capabilities import PrepareOutputTools
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from test_sdk_node import HERE, modules, node_of, run  # noqa: F401

needs_embeddings = pytest.mark.skipif(not (MODELS / "@verge/all-minilm-l6-v2").exists(), reason="all-MiniLM is not on this machine")
QUESTION = "My cat is 7 years old."


class Pet(pydantic.BaseModel):
    """A pet."""
    kind: Literal["cat", "dog"]
    age: Annotated[int, pydantic.Field(ge=1, le=30)]
    owner: Annotated[str, pydantic.Field(max_length=8)] | None = None


@pytest.fixture(scope="module")
def client_options(smollm):
    return {"base_url": smollm.base + "/v1", "api_key": "none", "max_retries": 0}


# ---- instructor

@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])
def test_instructor(client_options, mode):
    client = instructor.from_openai(openai.OpenAI(**client_options), mode=mode)
    ask = dict(model=MODEL, messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=120, max_retries=0)
    pet, answer = client.create_with_completion(**ask, response_model=Pet)
    assert isinstance(pet, Pet) and answer.usage.completion_tokens > 0
    *_, last = client.create_partial(**ask, response_model=Pet)
    assert Pet.model_validate(last.model_dump())


def test_instructor_over_responses(client_options):
    client = instructor.from_openai(openai.OpenAI(**client_options), mode=instructor.Mode.RESPONSES_TOOLS)
    pet = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=120, max_retries=0, response_model=Pet)
    assert isinstance(pet, Pet)


# ---- pydantic-ai

@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel])
def model(request, client_options):
    client = openai.AsyncOpenAI(**client_options)
    return request.param(MODEL, provider=OpenAIProvider(openai_client=client))


@pytest.mark.parametrize("output", [NativeOutput(Pet), ToolOutput(Pet)])
def test_pydantic_ai_output(model, output):
    agent = Agent(model, output_type=output, model_settings=ModelSettings(temperature=0, max_tokens=120), retries=0)
    done = agent.run_sync(QUESTION)
    assert isinstance(done.output, Pet) and done.usage.output_tokens > 0
    streamed = agent.run_stream_sync(QUESTION)
    assert [*streamed.stream_output()][-1] == done.output


def test_pydantic_ai_tool(model):
    asked = []

    async def first(context, definition):
        return None if asked else definition

    async def then(context, definitions):
        return definitions if asked else []

    # The typed answer is a tool, too: one is offered in the first step, the other in the second.
    agent = Agent(model, output_type=ToolOutput(Pet), model_settings=ModelSettings(temperature=0, max_tokens=120), retries=0,
                  capabilities=[PrepareOutputTools(then)])

    @agent.tool_plain(prepare=first)
    def age_of(kind: Literal["cat", "dog"]) -> int:
        """Age of a pet."""
        asked.append(kind)
        return 7

    done = agent.run_sync("How old is the cat?")
    assert isinstance(done.output, Pet) and len(asked) == 1
    parts = [part for message in done.all_messages() for part in message.parts]
    assert any(part.part_kind == "tool-return" and part.content == 7 for part in parts)


# ---- langchain-openai

@tool
def weather(city: Annotated[str, pydantic.Field(max_length=20)]) -> str:
    """The weather of a city."""
    return f"{city}: sunny"


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_openai(client_options, responses):
    chat = ChatOpenAI(model=MODEL, temperature=0, max_tokens=120, use_responses_api=responses, **client_options)
    for method in ("json_schema", "function_calling"):
        assert isinstance(chat.with_structured_output(Pet, method=method).invoke(QUESTION), Pet)
    typed = [*chat.with_structured_output(Pet.model_json_schema(), method="json_schema").stream(QUESTION)]
    Pet.model_validate(typed[-1])

    bound = chat.bind_tools([weather], tool_choice="weather")
    history = [HumanMessage("What is the weather in Paris?")]
    asked = bound.invoke(history)
    [call] = asked.tool_calls
    assert not asked.invalid_tool_calls and asked.usage_metadata["output_tokens"] > 0
    result = weather.invoke(call)
    assert result.tool_call_id == call["id"] and result.content.endswith("sunny")
    answer = chat.invoke([*history, asked, result])
    assert answer.text

    whole = None
    for piece in bound.stream(history):
        whole = piece if whole is None else whole + piece
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [(call["name"], call["args"])]
    assert "".join(piece.text for piece in chat.stream([*history, asked, result])) == answer.text


@needs_embeddings
def test_langchain_embeddings(client_options):
    vectors = OpenAIEmbeddings(model="@verge/all-minilm-l6-v2", check_embedding_ctx_length=False, **client_options).embed_documents(["a cat", "a train"])
    assert [len(v) for v in vectors] == [384, 384]


# ---- npm

@needs_embeddings
@pytest.mark.parametrize("script", ["langchain_openai.mjs", "openai_compatible.mjs"])
def test_node(smollm, modules, script):  # noqa: F811
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / script
    shutil.copy(HERE / script, there)
    run(node_of(modules), there, smollm.base, MODEL)
