"""Real weights against transformers' f32 outputs: with 8-bit activations up to the first step whose margin is
below 0.5, with weights expanded to f32 up to 0.01."""
import json
import pytest
from harness import ACCOUNT, DATA, Server, installed, sse

MODELS = {
    "smollm2-135m": "@verge/smollm2-135m-instruct",
    "qwen2.5-coder-0.5b": "@verge/qwen2.5-coder-0.5b-instruct",
    "gemma-3-270m": "@verge/gemma-3-270m",
}


@pytest.fixture(scope="module", params=[("native", 0.5), ("f32", 0.01)], ids=lambda p: p[0])
def served(request):
    weights, tie = request.param
    with Server("--weights", weights) as server:
        yield server, tie


def follows(case, got, tie):
    """True where `got` equals the reference up to a step nearer than `tie`."""
    want, lead = case["text"], len(case["text"]) - len(case["text"].lstrip())
    a, b = got.strip(), want.strip()
    if a == b:
        return True
    same = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    step = next((i for i, end in enumerate(case["ends"]) if end - lead > same), len(case["ids"]) - 1)
    return min(case["margins"][max(0, step - 1):step + 2]) < tie


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text(served, name):
    server, tie = served
    model = MODELS[name]
    if not installed(model):
        pytest.skip(f"{model} is not on this machine (verge pull {model})")
    for case in json.load(open(DATA / "expected" / f"{name}.json"))["greedy"]:
        n = len(case["ids"])
        body = {"max_tokens": n, "temperature": 0}
        body |= {"prompt": case["prompt"], "raw": True} if case["kind"] == "raw" else {"messages": case["messages"]}
        assert follows(case, server.run(model, body)["response"], tie), case["prompt"][-60:]
        text = server.post(f"{ACCOUNT}/run/{model}", {**body, "stream": True})[2]
        assert follows(case, "".join(e["response"] for e in sse(text)), tie)
        if case["kind"] == "raw":
            answer = server.post("/v1/completions", {"model": model, "prompt": case["prompt"], "max_tokens": n, "temperature": 0})[2]
            assert follows(case, json.loads(answer)["choices"][0]["text"], tie)
        else:
            answer = server.post("/v1/chat/completions", {"model": model, "messages": case["messages"], "max_tokens": n, "temperature": 0})[2]
            assert follows(case, json.loads(answer)["choices"][0]["message"]["content"], tie)
