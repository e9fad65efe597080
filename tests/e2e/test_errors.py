"""Bad input: the published status and code in each wire's shape, and a server that lives on."""
import json, os, signal, socket, struct
import pytest
from harness import ACCOUNT, STORIES, Server, eventually

RUN = f"{ACCOUNT}/run/@t/stories"
BINDING = {"cf-consn-model-id": "@t/stories", "cf-consn-sdk-version": "2.0.0"}
CASES = [
    ("not JSON", b"{nope", 400, 5006),
    ("empty body", b"", 400, None),
    ("no prompt", {}, 400, 5006),
    ("prompt of the wrong type", {"prompt": 5}, 400, 5006),
    ("negative max_tokens", {"prompt": "x", "max_tokens": -1}, 400, 5006),
    ("temperature out of range", {"prompt": "x", "temperature": 99}, 400, 5006),
    ("temperature of the wrong type", {"prompt": "x", "temperature": "hot"}, 400, 5006),
    ("top_p out of range", {"prompt": "x", "top_p": 3}, 400, 5006),
    ("messages of the wrong type", {"messages": "hi"}, 400, 5006),
    ("message without a role", {"messages": [{"content": "hi"}]}, 400, 5006),
    ("lora", {"prompt": "x", "lora": "mine"}, None, None),
    ("tools", {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, 400, None),
    ("response_format", {"prompt": "x", "response_format": {"type": "json_object"}}, 400, None),
    ("past the context", {"prompt": "word " * 5000, "raw": True}, 413, 5021),
    ("deep JSON", b"[" * 100000, 400, None),
]


@pytest.mark.parametrize("name,body,status,code", CASES, ids=[c[0] for c in CASES])
def test_rest(stories, name, body, status, code):
    got, headers, text = stories.post(RUN, body)
    answer = json.loads(text)
    assert got == status if status else 400 <= got < 500
    assert answer["success"] is False and answer["errors"][0]["message"] and isinstance(answer["errors"][0]["code"], int)
    assert code is None or answer["errors"][0]["code"] == code
    assert headers["cf-ai-req-id"]


@pytest.mark.parametrize("name,field", [("max_tokens", {"max_tokens": -1}), ("temperature", {"temperature": 99}), ("lora", {"lora": "x"}), ("tools", {"tools": [{"name": "f"}]}),
                                        ("response_format", {"response_format": {"type": "json_object"}})])
def test_message_names_the_field(stories, name, field):
    assert name in json.loads(stories.post(RUN, {"prompt": "x", **field})[2])["errors"][0]["message"]


def test_context_error_has_both_numbers(stories):
    message = json.loads(stories.post(RUN, {"prompt": "Once", "raw": True, "max_tokens": 5000})[2])["errors"][0]["message"]
    assert "500" in message and "(512)" in message


def test_unknown_model_on_every_wire(stories):
    status, _, text = stories.post(f"{ACCOUNT}/run/@cf/nobody/nothing", {"prompt": "x"})
    assert status == 400 and json.loads(text)["errors"][0]["code"] == 5007
    status, headers, text = stories.post("/run?version=3", {"inputs": {"prompt": "x"}, "options": {}}, {**BINDING, "cf-consn-model-id": "@cf/nobody/nothing"})
    assert status == 400 and json.loads(text)["internalCode"] == 5007 and headers["content-type"] == "application/json"
    status, _, text = stories.post("/v1/chat/completions", {"model": "@cf/nobody/nothing", "messages": [{"role": "user", "content": "x"}]})
    assert status in (400, 404) and "nothing" in json.loads(text)["error"]["message"]


def test_too_large_a_body(stories):
    status, _, text = stories.post(RUN, b'{"prompt": "' + b"x" * (101 << 20) + b'"}')
    assert status == 413 and json.loads(text)["errors"][0]["code"] == 3006


def hostile_files(tmp_path):
    good = (STORIES / "stories260K-f32.gguf").read_bytes()
    safetensors = (STORIES / "model.safetensors").read_bytes()
    yield "truncated.gguf", good[: len(good) // 2]
    yield "header-only.gguf", good[:20]
    yield "counts.gguf", b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**62)
    yield "noise.gguf", b"GGUF" + os.urandom(4096)
    yield "empty.gguf", b""
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "config.json").write_bytes((STORIES / "config.json").read_bytes())
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + safetensors[8:])
    yield "hub", None


def test_hostile_model_files_hurt_nobody(tmp_path, stories):
    files = []
    for name, data in hostile_files(tmp_path):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        files.append((f"@bad/{name}", tmp_path / name))
    with Server(models=[f"{i}={p}" for i, p in files] + [f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
        for model, path in files:
            status, _, text = server.post(f"{ACCOUNT}/run/{model}", {"prompt": "x"})
            assert status >= 400 and json.loads(text)["success"] is False, (model, text)
            assert json.loads(text)["errors"][0]["message"]
            eventually(lambda: "pid" not in (server.worker(model) or {}))  # its process is gone
        assert server.run("@t/stories", {"prompt": "Once", "raw": True, "max_tokens": 4})["response"]


def test_path_traversal(stories):
    for path in ("@cf/../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc%2fpasswd"):
        status, _, text = stories.post(f"{ACCOUNT}/run/{path}", {"prompt": "x"})
        assert status in (400, 404) and json.loads(text)["success"] is False


def test_half_a_request_then_gone(stories):
    for data in (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", b"GET / HT", b"\r\n\r\n", b"\x16\x03\x01" + os.urandom(64)):
        with socket.create_connection(("127.0.0.1", stories.port)) as s:
            s.sendall(data)
    assert stories.run("@t/stories", {"prompt": "Once", "raw": True, "max_tokens": 4})["response"]


def test_refuses_the_network_without_token_and_tls():
    import subprocess
    from harness import VERGE
    done = subprocess.run([VERGE, "serve", "--listen", "0.0.0.0:0", "--data", "/tmp/verge-e2e-none"], capture_output=True, text=True)
    assert done.returncode == 1 and "token" in done.stderr
