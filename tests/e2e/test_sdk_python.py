"""The `openai` package as its users have it."""
import cloudflare
import openai, pytest


@pytest.fixture(scope="module", params=["/v1", "/client/v4/accounts/test/ai/v1"])
def client(request, stories):
    return openai.OpenAI(base_url=stories.base + request.param, api_key="none", max_retries=0)


CHAT = dict(model="@t/stories", messages=[{"role": "user", "content": "Once upon a time"}], max_tokens=24, temperature=0)


def test_chat(client):
    answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 24 and answer.usage.total_tokens == answer.usage.prompt_tokens + 24
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]
    assert chunks[-1].usage.completion_tokens == 24


def test_logprobs(client):
    answer = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=3)
    items = answer.choices[0].logprobs.content
    assert len(items) == 24
    for item in items:
        assert item.logprob <= 0 and len(item.top_logprobs) == 3
        assert item.top_logprobs[0].token == item.token  # greedy
        assert item.top_logprobs[0].logprob >= item.top_logprobs[1].logprob
    assert "".join(bytes(i.bytes).decode() for i in items if i.bytes) == answer.choices[0].message.content or answer.choices[0].message.content in "".join(i.token for i in items)


def test_stop_and_n(client):
    free = client.chat.completions.create(**CHAT).choices[0].message.content
    stop = free.split()[3]
    cut = client.chat.completions.create(**CHAT, stop=[stop]).choices[0]
    assert cut.finish_reason == "stop" and cut.message.content == free[: free.index(stop)]
    several = client.chat.completions.create(**{**CHAT, "temperature": 1.0}, n=3, seed=7)
    assert [c.index for c in several.choices] == [0, 1, 2] and len({c.message.content for c in several.choices}) > 1


def test_completions_and_models(client):
    answer = client.completions.create(model="@t/stories", prompt="Once upon a time", max_tokens=8, temperature=0)
    assert answer.choices[0].text and answer.usage.completion_tokens == 8
    ids = [m.id for m in client.models.list()]
    assert "@t/stories" in ids


def test_errors_are_typed(client):
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as caught:
        client.chat.completions.create(**{**CHAT, "model": "@cf/nobody/nothing"})
    assert "nothing" in str(caught.value) and caught.value.body["message"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**CHAT, "temperature": 99})
    assert "temperature" in caught.value.body["message"]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**CHAT, functions=[{"name": "f", "parameters": {}}])


def test_cloudflare_package(stories):
    client = cloudflare.Cloudflare(api_token="none", base_url=stories.base + "/client/v4", max_retries=0)
    answer = client.ai.run("@t/stories", account_id="test", prompt="Once upon a time", raw=True, max_tokens=8, temperature=0)
    text = answer["response"] if isinstance(answer, dict) else answer.response
    assert text
    names = [model["name"] if isinstance(model, dict) else model.name for model in client.ai.models.list(account_id="test", task="Text Generation")]
    assert "@cf/meta/llama-3.2-1b-instruct" in names
    with pytest.raises(cloudflare.BadRequestError) as caught:
        client.ai.run("@cf/nobody/nothing", account_id="test", prompt="x")
    assert caught.value.errors[0].code == 5007
