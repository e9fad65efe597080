"""Greedy text equals the reference's, whole, on every wire, streaming or not."""
import json, subprocess
import pytest
from harness import ACCOUNT, DATA, STORIES, VERGE, sse

CASES = [c for c in json.load(open(DATA / "expected" / "stories260K.json")) if c["smallest_margin"] >= 1e-3]


def inputs(case, **more):
    return {"prompt": case["prompt"], "raw": True, "max_tokens": len(case["ids"]), "temperature": 0, **more}


@pytest.mark.parametrize("model", ["@t/stories", "@t/stories-hub"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["prompt"])
def test_every_wire(stories, model, case):
    assert stories.run(model, inputs(case))["response"].strip() == case["text"].strip()

    _, headers, text = stories.post(f"{ACCOUNT}/run/{model}", inputs(case, stream=True))
    assert headers["content-type"].startswith("text/event-stream")
    events = sse(text)
    assert "".join(e["response"] for e in events).strip() == case["text"].strip()
    assert events[-1]["response"] == "" and events[-1]["usage"]["completion_tokens"] == len(case["ids"])

    binding = {"cf-consn-model-id": model, "cf-consn-sdk-version": "2.0.0"}
    status, headers, text = stories.post("/run?version=3", {"inputs": inputs(case), "options": {}}, binding)
    assert status == 200 and headers["content-type"] == "application/json" and headers["cf-ai-req-id"]
    assert json.loads(text)["response"].strip() == case["text"].strip()
    _, _, text = stories.post("/run?version=3", {"inputs": inputs(case, stream=True), "options": {}}, binding)
    assert "".join(e["response"] for e in sse(text)).strip() == case["text"].strip()

    body = {"model": model, "prompt": case["prompt"], "max_tokens": len(case["ids"]), "temperature": 0}
    for path in (f"{ACCOUNT}/v1/completions", "/v1/completions"):
        assert json.loads(stories.post(path, body)[2])["choices"][0]["text"].strip() == case["text"].strip()
    _, _, text = stories.post("/v1/completions", {**body, "stream": True})
    assert "".join(c["text"] for e in sse(text) for c in e["choices"]).strip() == case["text"].strip()


@pytest.mark.parametrize("case", CASES[:2], ids=lambda c: c["prompt"])
def test_command_line(stories, case):
    options = ["--raw", "--temperature", "0", "--max-tokens", str(len(case["ids"])), case["prompt"]]
    for command in ([VERGE, "run", f"{STORIES}/stories260K-f32.gguf"], [VERGE, "run", "--server", stories.base, "@t/stories"]):
        done = subprocess.run(command + options, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == case["text"].strip()
    done = subprocess.run([VERGE, "run", f"{STORIES}/stories260K-f32.gguf", "--json"] + options, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert json.loads(done.stdout)["response"].strip() == case["text"].strip()


def test_same_seed_same_text_alone_and_in_a_crowd(stories):
    from concurrent.futures import ThreadPoolExecutor
    ask = lambda seed: stories.run("@t/stories", {"prompt": "Once upon a time", "raw": True, "max_tokens": 60, "temperature": 1.0, "seed": seed})["response"]
    alone = [ask(seed) for seed in range(1, 17)]
    assert len(set(alone)) > 8
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(1, 17))) == alone
