"""Processes that stand still: their clients get the same bytes from a new process, and what the server says of itself is true meanwhile."""
import contextlib, json, os, signal, subprocess, threading, time
import pytest
from harness import ACCOUNT, DATA, STORIES, VERGE, Server, eventually
from test_lifecycle import MODEL, inputs, stream

MAP = [f"{MODEL}={STORIES}/stories260K-f32.gguf", f"@t/embedder={DATA}/models/tiny-embedder", f"@t/pictures={DATA}/models/resnet20-cifar10"]
PICTURE = DATA / "images" / "444.jpg"
OTHERS = {"@t/embedder": {"text": ["a", "b"]}, "@t/pictures": {"image": list(PICTURE.read_bytes())}}


def stop(server, model):
    pid = server.worker(model)["pid"]
    os.kill(pid, signal.SIGSTOP)
    return pid


def later(function, *arguments):
    """A thread, and the list that its result goes to."""
    out = []
    thread = threading.Thread(target=lambda: out.append(function(*arguments)))
    thread.start()
    return thread, out


@pytest.fixture(scope="module")
def server():
    with Server("--hung-after", "6", models=MAP) as server:
        yield server


# Promises: N4.
def test_a_stopped_worker_in_mid_stream(server):
    whole = server.run(MODEL, inputs(3))["response"]
    pids = []

    def stop_at(event):
        if event == 20:
            pids.append(stop(server, MODEL))
    thread, text = later(stream, server, inputs(3), None, stop_at)
    eventually(lambda: server.worker(MODEL)["state"] == "suspect")
    status, _, body = server.get("/readyz")
    assert status == 503 and MODEL in json.loads(body)["suspect"], body
    rows = json.loads(server.get("/verge/v1/nodes")[2])
    assert [m["state"] for m in rows[0]["models"] if m["id"] == MODEL] == ["suspect"]
    assert "suspect" in subprocess.run([VERGE, "ps", "--server", server.base], capture_output=True, text=True).stdout
    thread.join()
    assert text == [whole]
    assert server.worker(MODEL)["pid"] not in pids
    assert server.get("/readyz")[0] == 200


def test_stopped_before_the_request(server):
    whole = server.run(MODEL, inputs(5, 40))["response"]
    stop(server, MODEL)
    crowd = [later(server.run, MODEL, inputs(5, 40)) for _ in range(8)]
    for thread, _ in crowd:
        thread.join()
    assert [out[0]["response"] for _, out in crowd] == [whole] * 8


def test_other_tasks(server):
    want = {model: server.run(model, body) for model, body in OTHERS.items()}
    for model in OTHERS:
        stop(server, model)
    asked = {model: later(server.run, model, body) for model, body in OTHERS.items()}
    for model, (thread, out) in asked.items():
        thread.join()
        assert out == [want[model]]


def test_one_that_goes_on_is_left_alone(server):
    server.run(MODEL, inputs(6, 4))
    pid = stop(server, MODEL)
    eventually(lambda: server.worker(MODEL)["state"] == "suspect")
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: server.worker(MODEL)["state"] == "ready")
    assert server.worker(MODEL)["pid"] == pid


def test_a_server_that_was_stopped_kills_nobody():
    with Server("--hung-after", "3", models=MAP[:1]) as server:
        server.run(MODEL, inputs(1, 4))
        pid = server.worker(MODEL)["pid"]
        both = [server.process.pid, pid]
        for one in both:
            os.kill(one, signal.SIGSTOP)
        time.sleep(5)  # the clock has to jump past the bound
        for one in both:
            os.kill(one, signal.SIGCONT)
        assert server.run(MODEL, inputs(1, 4))
        assert server.worker(MODEL)["pid"] == pid


def test_stopped_while_it_loads(tmp_path):
    with Server("--hung-after", "2", models=MAP[:1]) as server:
        thread, out = later(server.run, MODEL, inputs(1, 8))
        eventually(lambda: (server.worker(MODEL) or {}).get("pid"))
        stop(server, MODEL)
        thread.join()
        assert out and out[0]["response"]


# Promises: N3.
def test_sigterm_ends_a_server_with_a_stopped_worker():
    server = Server("--drain", "1", models=MAP[:1])
    server.run(MODEL, inputs(1, 4))
    pid = stop(server, MODEL)

    def cut_off():
        with contextlib.suppress(OSError):
            server.post(f"{ACCOUNT}/run/{MODEL}", inputs(1, 4))
    later(cut_off)
    assert server.stop() == 0
    assert not os.path.exists(f"/proc/{pid}")
