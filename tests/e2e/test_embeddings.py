"""Encoders through the server: tiny ones with Hugging Face's answers beside them, and the real stand-in where it is pulled."""
import base64, concurrent.futures, json, math, struct

import openai, pytest

from harness import ACCOUNT, DATA, MODELS, Server

TINY = {name: DATA / "models" / f"tiny-{name}" for name in ("embedder", "classifier", "reranker")}
MINILM = MODELS / "@verge" / "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def server():
    models = [f"@t/{name}={path}" for name, path in TINY.items()]
    with Server("--stand-ins", models=models) as s:
        yield s


def expected(name):
    return json.loads((TINY[name] / "expected.json").read_text())


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_vectors_are_the_references_alone_and_together(server):
    texts = expected("embedder")["texts"]
    alone = [server.run("@t/embedder", {"text": t["text"]})["data"][0] for t in texts]
    together = server.run("@t/embedder", {"text": [t["text"] for t in texts]})
    assert together["data"] == alone and together["shape"] == [len(texts), 32] and together["pooling"] == "mean"
    for t, vector in zip(texts, alone):
        assert cosine(t["mean"], vector) > 0.99999
    cls = server.run("@t/embedder", {"text": texts[0]["text"], "pooling": "cls"})["data"][0]
    assert cosine(texts[0]["cls"], cls) > 0.99999


def test_a_crowd_gets_the_same_bits(server):
    alone = server.run("@t/embedder", {"text": "green tea"})["data"][0]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        crowd = list(pool.map(lambda i: server.run("@t/embedder", {"text": ["green tea"] + ["river stone"] * (i % 50)})["data"][0], range(64)))
    assert all(v == alone for v in crowd)


def test_classes_and_reranking(server):
    case = expected("classifier")
    for text, scores in zip(case["texts"], case["scores"]):
        answer = server.run("@t/classifier", {"text": text})
        assert {a["label"]: pytest.approx(a["score"], abs=1e-4) for a in answer} == dict(zip(case["labels"], scores))
        assert answer[0]["score"] >= answer[1]["score"]
    case = expected("reranker")
    answer = server.run("@t/reranker", {"query": case["query"], "contexts": [{"text": t} for t in case["texts"]]})["response"]
    assert [a["score"] for a in answer] == sorted((a["score"] for a in answer), reverse=True)
    for a in answer:
        assert a["score"] == pytest.approx(case["scores"][a["id"]], abs=1e-4)
    assert len(server.run("@t/reranker", {"query": "q", "contexts": [{"text": "a"}, {"text": "b"}], "top_k": 1})["response"]) == 1


@pytest.mark.parametrize("prefix", ["/v1", f"{ACCOUNT}/v1"])
def test_openai_package(server, prefix):
    client = openai.OpenAI(base_url=server.base + prefix, api_key="none", max_retries=0)
    texts = [t["text"] for t in expected("embedder")["texts"]]
    plain = [server.run("@t/embedder", {"text": t})["data"][0] for t in texts]
    answer = client.embeddings.create(model="@t/embedder", input=texts)  # asks for base64 and decodes it
    assert [d.embedding for d in answer.data] == [pytest.approx(p, abs=1e-7) for p in plain]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(len(t["ids"]) for t in expected("embedder")["texts"])
    short = client.embeddings.create(model="@t/embedder", input="tea", dimensions=8, encoding_format="float").data[0].embedding
    assert len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-6
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="@t/embedder", input="tea", dimensions=33)
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="@t/embedder", input="")


@pytest.mark.parametrize("inputs", [{"text": ""}, {"text": []}, {"text": ["x"] * 101}, {"text": None}, {"text": [1]}, {}, [], {"text": "a", "pooling": "max"}])
def test_bad_input_is_published_and_the_worker_lives(server, inputs):
    status, _, text = server.post(f"{ACCOUNT}/run/@t/embedder", inputs)
    assert status == 400 and json.loads(text)["errors"][0]["code"] == 5006, text
    assert server.run("@t/embedder", {"text": "fine"})["shape"] == [1, 32]


def test_long_texts_are_cut(server):
    assert server.run("@t/embedder", {"text": "river " * 20000})["shape"] == [1, 32]
    assert server.run("@t/embedder", {"text": "x" * 200000})["shape"] == [1, 32]


def test_the_wrong_task_is_refused(server):
    status, _, text = server.post("/v1/chat/completions", {"model": "@t/embedder", "messages": [{"role": "user", "content": "x"}]})
    assert status == 404 and json.loads(text)["error"]["code"] == "model_not_found"


@pytest.mark.skipif(not MINILM.is_dir(), reason="verge pull @verge/all-minilm-l6-v2 first")
def test_the_stand_in_knows_what_is_alike(server):
    status, headers, text = server.post(f"{ACCOUNT}/run/@cf/baai/bge-small-en-v1.5", {"text": ["a cat on a mat", "a kitten lies on a rug", "quarterly revenue"]})
    assert status == 200 and headers["verge-substituted"] == "1" and headers["verge-model"] == "@verge/all-minilm-l6-v2"
    result = json.loads(text)["result"]
    assert result["shape"] == [3, 384]
    cat, kitten, money = result["data"]
    assert cosine(cat, kitten) > 0.5 > 0.2 > cosine(cat, money)
    answer = server.post("/v1/embeddings", {"model": "@cf/baai/bge-small-en-v1.5", "input": "a cat on a mat", "encoding_format": "base64"})[2]
    vector = struct.unpack("<384f", base64.b64decode(json.loads(answer)["data"][0]["embedding"]))
    assert cosine(vector, cat) > 0.999999


def test_an_embedder_stands_in_for_its_own_width_only():
    """Vectors of two widths, or a fallback that nobody asked for, would end in one index."""
    tiny = f"@t/embedder={TINY['embedder']}"
    with Server("--stand-ins", "--stand-in", "@cf/baai/bge-base-en-v1.5=@t/embedder", "--stand-in", "text-embedding-3-small=@t/embedder", models=[tiny],
                env={"VERGE_MODELS": "/nowhere"}) as server:
        for model in ("@cf/baai/bge-large-en-v1.5", "@cf/baai/bge-m3"):
            status, _, text = server.post(f"{ACCOUNT}/run/{model}", {"text": "a"})
            assert status == 404 and f"--stand-in {model}=" in text, text
        assert server.post("/v1/embeddings", {"model": "text-embedding-ada-002", "input": "a"})[0] == 404
        # Asked for in so many words.
        status, headers, text = server.post(f"{ACCOUNT}/run/@cf/baai/bge-base-en-v1.5", {"text": "a"})
        assert status == 200 and headers["verge-substituted"] == "1" and headers["verge-model"] == "@t/embedder", text
        status, headers, _ = server.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "a"})
        assert status == 200 and headers["verge-substituted"] == "1"
        listed = [m["id"] for m in json.loads(server.get("/v1/models")[2])["data"]]
        assert "@cf/baai/bge-base-en-v1.5" in listed and "@cf/baai/bge-large-en-v1.5" not in listed
        # It is told in the log and in the usage.
        assert "model=@cf/baai/bge-base-en-v1.5 answered_by=@t/embedder" in server.log()
        rows = json.loads(server.get("/verge/v1/usage?by=model,answered_by")[2])["result"]["rows"]
        row = next(r for r in rows if r["model"] == "@cf/baai/bge-base-en-v1.5")
        assert row["answered_by"] == "@t/embedder" and row["substituted"] == row["requests"] == 1
