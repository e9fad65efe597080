"""What happens to a server whose machine runs short, and whose files change under it."""
import base64, contextlib, json, os, resource, shutil, signal, subprocess

import pytest
from harness import DATA, STORIES, VERGE, Server, eventually

SECRET = "e2e-secret-of-the-environment"


def ask(server, model, prompt="Once upon a time"):
    """(status, code, text, retry-after) of a short answer."""
    status, headers, text = server.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 12, "temperature": 0})
    body = json.loads(text)
    if status != 200:
        return status, body["error"]["code"], body["error"]["message"], headers.get("retry-after")
    return status, None, body["choices"][0]["message"]["content"], None


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as f:
        return f.read()


@pytest.fixture
def models(tmp_path):
    """Copies that a test may damage."""
    shutil.copy(STORIES / "stories260K-f32.gguf", tmp_path / "m.gguf")
    shutil.copytree(STORIES, tmp_path / "hub")
    shutil.copytree(DATA / "models" / "tiny-embedder", tmp_path / "embedder")
    shutil.copytree(DATA / "models" / "resnet20-cifar10", tmp_path / "pictures")
    return tmp_path


def serve(models, *options, env=None, **more):
    return Server(*options, models=[f"@x/m={models}/m.gguf", f"@x/hub={models}/hub", f"@x/embedder={models}/embedder", f"@x/pictures={models}/pictures"], env=env, **more)


def test_a_models_process_has_nothing_of_the_servers_secrets(models):
    with serve(models, env={"VERGE_TOKEN": SECRET, "HF_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "TZ": "UTC"}) as server:
        assert ask(server, "@x/m")[0] == 200 and ask(server, "@x/hub")[0] == 200
        server.run("@x/embedder", {"text": "a"})
        status, _, text = server.post("/client/v4/accounts/test/ai/run/@x/pictures", (models / "pictures" / "cifar32-cat.png").read_bytes(), {"content-type": "application/octet-stream"})
        assert status == 200, text
        for model in ("@x/m", "@x/hub", "@x/embedder", "@x/pictures"):
            pid = server.worker(model)["pid"]
            assert SECRET.encode() not in proc(pid, "environ")
            assert {v.split(b"=")[0] for v in proc(pid, "environ").split(b"\0") if v} <= {b"TZ", b"LD_LIBRARY_PATH"}
            status = dict(line.split(":\t") for line in proc(pid, "status").decode().splitlines() if ":\t" in line)
            assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0)
            opened = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not [path for path in opened if str(models) in path], opened


def convert(server, name, data):
    return server.post("/to-everything/markdown/transformer", {"files": [{"name": name, "mimeType": "", "data": base64.b64encode(data).decode()}]})[2]


def test_a_converter_has_no_capabilities():
    """Its sandbox is there before the first byte of a document."""
    with subprocess.Popen([VERGE, "convert", "html"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as converter:
        status = lambda: dict(line.split(":\t") for line in proc(converter.pid, "status").decode().splitlines() if ":\t" in line)
        eventually(lambda: status()["Seccomp"] == "2")
        assert int(status()["CapEff"], 16) == int(status()["CapPrm"], 16) == 0
        assert converter.communicate(b"<p>a</p>")[0] == b"a\n"


def test_what_a_converter_says_when_it_breaks_down_is_no_libraries_text(models):
    with serve(models) as server:
        assert "hello" in convert(server, "a.html", b"<p>hello</p>")
        for name, data in (("a.pdf", b"%PDF-1.7\nbroken\x1b[2J"), ("a.json", b"[" * 100_000), ("a.xml", b"<a>" * 100_000)):
            text = convert(server, name, data)
            for word in ("bad_alloc", "terminate", "what()", "Syntax Error", "\\u001b"):
                assert word not in text, text


def test_files_that_change_under_a_loaded_model_change_no_answer(models):
    with serve(models) as server:
        vector = server.run("@x/embedder", {"text": "a"})
        before = ask(server, "@x/m"), ask(server, "@x/hub")
        assert before[0][0] == before[1][0] == 200
        for folder, _, files in os.walk(models):
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "r+b") as f:
                    f.seek(os.path.getsize(path) // 4)
                    f.write(bytes(os.path.getsize(path) // 2))
        assert (ask(server, "@x/m"), ask(server, "@x/hub")) == before
        for folder, _, files in os.walk(models):
            for name in files:
                os.truncate(os.path.join(folder, name), 0)
        assert (ask(server, "@x/m"), ask(server, "@x/hub")) == before
        assert server.run("@x/embedder", {"text": "a"}) == vector


def test_each_reason_not_to_load_is_told_apart_and_none_tells_a_path(models):
    with serve(models) as server:
        text = ask(server, "@x/m")[2]
        pid = server.worker("@x/m")["pid"]

        def again():
            nonlocal pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            answer = ask(server, "@x/m")
            pid = (server.worker("@x/m") or {}).get("pid", pid)
            assert str(models) not in answer[2] and "m.gguf" not in answer[2], answer
            return answer

        os.rename(models / "m.gguf", models / "away")
        status, code, message, _ = again()
        assert (status, code) == (404, "model_not_available") and "put them back" in message

        with open(models / "m.gguf", "wb") as f:
            f.write(open(models / "away", "rb").read(5000))
        status, code, message, retry = again()
        assert (status, code, retry) == (500, "model_load_failed", None) and "damaged" in message

        os.replace(models / "away", models / "m.gguf")
        assert again()[:3] == (200, None, text)

        # The server has no descriptors left, but for the connections that are there.
        old = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: (server.worker("@x/m") or {}).get("pid") != pid)
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 2, old[1]))
        status, code, message, retry = ask(server, "@x/hub")
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, old)
        assert (status, code, retry) == (503, "insufficient_resources", "5"), message
        assert ask(server, "@x/hub")[0] == 200


def test_a_replaced_file_is_taken_by_the_next_load(models):
    with serve(models) as server:
        before = ask(server, "@x/m")
        data = bytearray(open(models / "m.gguf", "rb").read())
        data[len(data) // 2:] = bytes(len(data) - len(data) // 2)  # other weights, the same names and shapes
        with open(models / "new", "wb") as f:
            f.write(data)
        os.replace(models / "new", models / "m.gguf")
        assert ask(server, "@x/m") == before
        os.kill(server.worker("@x/m")["pid"], signal.SIGKILL)
        after = ask(server, "@x/m")
        assert after[0] == 200 and after != before


@pytest.mark.parametrize("fault", ["removed", "log removed", "index cut short"])
def test_the_usage_database_is_kept_whole(models, tmp_path, fault):
    data = str(tmp_path / "data")
    with serve(models, data=data) as server:
        assert ask(server, "@x/m")[0] == 200
        path = os.path.join(data, "usage.db")
        for end in {"removed": ["", "-wal", "-shm"], "log removed": ["-wal"], "index cut short": ["-shm"]}[fault]:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path + end) if fault != "index cut short" else os.truncate(path + end, 0)
        for _ in range(3):
            assert ask(server, "@x/m")[0] == 200
        server.stop(signal.SIGKILL)
    report = json.loads(subprocess.run([VERGE, "usage", "--data", data, "--json"], capture_output=True, text=True, check=True).stdout)
    assert report["total"]["requests"] == 4


def test_a_lost_token_database_closes_the_server(models, tmp_path):
    data = str(tmp_path / "data")
    subprocess.run([VERGE, "token", "create", "--data", data], capture_output=True, check=True)
    with serve(models, data=data) as server:
        assert server.get("/client/v4/accounts/x/ai/models/search")[0] == 401
        os.truncate(os.path.join(data, "accounts.db"), 0)
        assert server.get("/client/v4/accounts/x/ai/models/search")[0] in (401, 403, 500)
    os.remove(os.path.join(data, "accounts.db"))
    refused = subprocess.run([VERGE, "serve", "--listen", "127.0.0.1:0", "--data", data], capture_output=True, text=True)
    assert refused.returncode != 0 and "verge token create" in refused.stderr and "tokens-required" in refused.stderr


def test_pages_of_other_origins_read_no_metrics(models):
    with serve(models) as server:
        for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
            status, headers, text = server.get("/metrics", {"origin": origin})
            assert status == 403 and headers.get("access-control-allow-origin") is None, (origin, status)
            assert "verge_" not in text
        assert "verge_" in server.get("/metrics")[2]
        assert server.get("/metrics", {"origin": "http://localhost:3000"})[0] == 200


def test_what_clients_write_stays_on_one_line_of_the_log(models):
    with serve(models) as server:
        server.post("/v1/chat/completions", {"model": "@x/\x1b[2J\nlevel=error forged", "messages": [{"role": "user", "content": "x"}]})
        server.get("/client/v4/accounts/x/ai/run/%1b%5b2J%0aforged%ff")
        server.get("/%0aforged", {"origin": "https://evil.example\x85"})
        with open(server.log_path, "rb") as f:
            log = f.read()
        assert b"\x1b[2J" not in log and not [line for line in log.splitlines() if line.startswith((b"forged", b"level="))]
        log.decode()
