"""Bad input: the published status and code in each wire's shape, and a server that lives on."""
import json, os, shutil, signal, socket, struct, subprocess
import pytest
from harness import ACCOUNT, STORIES, VERGE, Server, eventually

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
    ("tools", {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]}, 400, None),
    ("response_format", {"prompt": "x", "response_format": {"type": "yaml"}}, 400, None),
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


@pytest.mark.parametrize("name,field", [("max_tokens", {"max_tokens": -1}), ("temperature", {"temperature": 99}), ("lora", {"lora": "x"}), ("tools", {"tools": [{"name": "f g"}]}),
                                        ("response_format", {"response_format": {"type": "json_schema", "json_schema": 5}})])
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


def test_an_answer_that_begins_too_late_is_the_published_timeout():
    """Its model is not loaded yet, which takes longer than a client waits that has no time."""
    for stream in (False, True):
        with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
            body = {"prompt": "Once", "max_tokens": 4, "stream": stream}
            status, headers, text = server.post(RUN, body, headers={"cf-aig-request-timeout": "1"})
            assert (status, json.loads(text)["errors"][0]["code"]) == (408, 3046), text
            status, headers, text = server.post(RUN, body, headers={"cf-aig-request-timeout": "60000"})
            assert status == 200, text


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


def refused(*options, env=None):
    """What a server that must not start says."""
    done = subprocess.run([VERGE, "serve", "--listen", "127.0.0.1:0", "--data", "/tmp/verge-e2e-none", *options], capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert done.returncode == 1, done
    return done.stderr.strip().splitlines()[-1]


def test_hostile_model_files_hurt_nobody(tmp_path, stories):
    files = []
    for name, data in hostile_files(tmp_path):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        files.append((f"@bad/{name}", tmp_path / name))
        said = refused("--model", f"@bad/{name}={tmp_path / name}")  # at start, with the file's name
        assert f"--model @bad/{name}: " in said and str(tmp_path / name) in said, said
    hostile = {path: path.with_name(path.name + ".hostile") for _, path in files}
    for path, aside in hostile.items():
        path.rename(aside)
        shutil.copytree(STORIES, path) if aside.is_dir() else shutil.copyfile(STORIES / "stories260K-f32.gguf", path)
    with Server(models=[f"{i}={p}" for i, p in files] + [f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
        for path, aside in hostile.items():  # they change under a running server
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            aside.rename(path)
        for model, path in files:
            status, _, text = server.post(f"{ACCOUNT}/run/{model}", {"prompt": "x"})
            assert status >= 400 and json.loads(text)["success"] is False, (model, text)
            assert json.loads(text)["errors"][0]["message"]
            eventually(lambda: "pid" not in (server.worker(model) or {}))  # its process is gone
        assert server.run("@t/stories", {"prompt": "Once", "raw": True, "max_tokens": 4})["response"]


def test_a_damaged_file_costs_no_other_model_its_place(tmp_path):
    """Room for one of two: the second one is looked at before the first has to go."""
    good = STORIES / "stories260K-f32.gguf"
    shutil.copyfile(good, tmp_path / "m.gguf")
    with Server("--memory", "100", models=[f"@t/stories={good}", f"@t/other={tmp_path / 'm.gguf'}"]) as server:
        assert server.run("@t/stories", {"prompt": "Once", "raw": True, "max_tokens": 4})["response"]
        pid = server.worker("@t/stories")["pid"]
        os.truncate(tmp_path / "m.gguf", 5000)
        status, _, text = server.post(f"{ACCOUNT}/run/@t/other", {"prompt": "x"})
        assert status == 500 and "cannot be loaded" in text and "m.gguf" not in text, text
        assert server.worker("@t/stories")["pid"] == pid and "evicting" not in server.log()
        assert "m.gguf" in server.log()


def test_what_can_never_fit_or_is_not_there_is_refused_at_start():
    good = f"@t/stories={STORIES}/stories260K-f32.gguf"
    said = refused("--model", good, "--memory", "50")
    assert "--model @t/stories: " in said and "50 MiB" in said and "--memory" in said
    assert "--preload @t/none: " in refused("--preload", "@t/none")
    said = refused("--preload", "@cf/meta/llama-3.2-1b-instruct", env={"VERGE_MODELS": "/nowhere"})
    assert "verge pull" in said
    assert "no such model: @t/none" in refused("--model", good, "--stand-in", "@t/other=@t/none")
    assert "is for text-embeddings" in refused("--model", good, "--stand-in", "@cf/baai/bge-m3=@t/stories")


def test_a_rate_of_an_unknown_task_is_refused(tmp_path):
    def account(*options):
        return subprocess.run([VERGE, "account", "set", "team", "--data", str(tmp_path), *options], capture_output=True, text=True)
    done = account("--rate", "text-generatoin=5")
    assert done.returncode == 1 and "text-generatoin" in done.stderr and "text-generation" in done.stderr.split("these are:")[1]
    assert account("--rate", "text-generation=5").returncode == 0


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
    done = subprocess.run([VERGE, "serve", "--listen", "0.0.0.0:0", "--data", "/tmp/verge-e2e-none"], capture_output=True, text=True)
    assert done.returncode == 1 and "token" in done.stderr
