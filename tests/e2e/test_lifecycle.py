"""Workers that are killed, clients that leave, signals: nothing leaks and every surviving answer is right."""
import http.client, json, os, random, signal, subprocess, threading, time
from concurrent.futures import ThreadPoolExecutor
import pytest
from harness import ACCOUNT, STORIES, VERGE, Server, eventually, sse

MODEL = "@t/stories"
MAP = [f"{MODEL}={STORIES}/stories260K-f32.gguf"]


def inputs(seed, n=400):
    return {"prompt": "Once upon a time", "raw": True, "max_tokens": n, "temperature": 0.9, "seed": seed}


def stream(server, body, until=None, on_event=None):
    """Text of a stream; leaves after `until` events."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", f"{ACCOUNT}/run/{MODEL}", json.dumps({**body, "stream": True}), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    raw, events = b"", 0
    while True:
        line = answer.readline()
        if not line:
            break
        raw += line
        if line.startswith(b"data: "):
            events += 1
            if on_event:
                on_event(events)
            if until and events >= until:
                connection.sock.close() if connection.sock else None
                answer.close()
                return None
    return "".join(e.get("response") or "" for e in sse(raw.decode()))


def idle(server):
    worker = server.worker(MODEL)
    return worker and worker["in_flight"] == 0 and worker["waiting"] == 0


# Promises: N2.
def test_killed_worker_before_and_after_the_first_token():
    with Server(models=MAP) as server:
        whole = server.run(MODEL, inputs(3))["response"]
        pid = server.worker(MODEL)["pid"]
        os.kill(pid, signal.SIGKILL)
        assert server.run(MODEL, inputs(3))["response"] == whole  # before the first token
        eventually(lambda: server.worker(MODEL).get("pid"))

        def kill_at(event):
            if event == 20:
                os.kill(server.worker(MODEL)["pid"], signal.SIGKILL)
        assert stream(server, inputs(3), on_event=kill_at) == whole  # after it: byte for byte
        assert server.process.poll() is None


def test_crowd_with_aborts_and_kills():
    seeds = range(1, 33)
    with Server(models=MAP) as server:
        # The first crowd is left alone: it gives the right answers, and the kept connections of a crowd of this size.
        with ThreadPoolExecutor(64) as pool:
            texts = list(pool.map(lambda s: server.run(MODEL, inputs(s, 200))["response"], [*seeds, *seeds]))
        want = dict(zip(seeds, texts))
        assert texts[32:] == texts[:32]
        eventually(lambda: idle(server))
        fds = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        stop = threading.Event()

        def killer():
            for _ in range(2):  # three crashes within a minute would quarantine the model
                if stop.wait(0.4):
                    return
                worker = server.worker(MODEL)
                if worker and "pid" in worker:
                    os.kill(worker["pid"], signal.SIGKILL)

        thread = threading.Thread(target=killer)
        thread.start()
        rng = random.Random(5)
        jobs = [(rng.choice(seeds), rng.randrange(1, 60) if i % 2 else None) for i in range(64)]
        with ThreadPoolExecutor(64) as pool:
            got = list(pool.map(lambda job: stream(server, inputs(job[0], 200), until=job[1]), jobs))
        stop.set()
        thread.join()
        for (seed, until), text in zip(jobs, got):
            assert until or text == want[seed]
        eventually(lambda: idle(server))
        pages = server.status()
        detail = eventually(lambda: server.worker(MODEL))
        assert detail["in_flight"] == 0 and detail["waiting"] == 0, pages
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= fds + 2)
        assert server.run(MODEL, inputs(1, 200))["response"] == want[1]


# Promises: V2.
def test_a_client_that_leaves_does_not_end_the_load():
    with Server(models=MAP) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", f"{ACCOUNT}/run/{MODEL}", json.dumps(inputs(1, 5)), {"content-type": "application/json"})
        eventually(lambda: (server.worker(MODEL) or {}).get("state", "cold") != "cold")
        connection.close()
        eventually(lambda: (server.worker(MODEL) or {}).get("state") == "ready")


# Promises: V1, N1.
def test_one_load_for_many_requests():
    with Server(models=MAP) as server:
        with ThreadPoolExecutor(24) as pool:
            texts = set(pool.map(lambda _: server.run(MODEL, inputs(9, 30))["response"], range(24)))
        assert len(texts) == 1
        assert server.worker(MODEL)["loads"] == 1


def test_sigterm_drains_a_running_stream():
    with Server(models=MAP) as server:
        whole = server.run(MODEL, inputs(4))["response"]

        def term(event):
            if event == 5:
                server.process.send_signal(signal.SIGTERM)
        assert stream(server, inputs(4), on_event=term) == whole
        assert server.process.wait() == 0


@pytest.mark.parametrize("when", ["idle", "loading", "running"])
def test_sigterm_always_ends(when):
    server = Server("--drain", "1", models=MAP)
    if when == "running":
        thread = threading.Thread(target=lambda: server.post(f"{ACCOUNT}/run/{MODEL}", inputs(4)))
        thread.start()
    if when == "loading":
        threading.Thread(target=lambda: server.post(f"{ACCOUNT}/run/{MODEL}", inputs(4)), daemon=True).start()
    assert server.stop() == 0
    left = subprocess.run(["pgrep", "-f", server.folder.name], capture_output=True, text=True).stdout.split()
    assert left == []


def test_tokens_switch_on(tmp_path):
    with Server(models=MAP) as server:
        made = subprocess.run([VERGE, "token", "create", "--name", "ci", "--data", os.path.join(server.folder.name, "data"), "--json"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        secret = json.loads(made.stdout)["token"]
        status, _, text = server.post(f"{ACCOUNT}/run/{MODEL}", inputs(1, 4))
        assert status == 401 and json.loads(text)["errors"][0]["code"] == 10000
        status, _, text = server.post(f"{ACCOUNT}/run/{MODEL}", inputs(1, 4), {"authorization": f"Bearer {secret}"})
        assert status == 200, text
        assert secret not in server.log()


def test_metrics_and_health(stories):
    stories.run(MODEL, inputs(1, 4))
    assert stories.get("/healthz")[0] == 200 and stories.get("/readyz")[0] == 200
    status, headers, text = stories.get("/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    assert "# HELP verge_" in text and "# TYPE verge_" in text


def test_stand_in_is_marked(tmp_path):
    stand_in = f"@verge/smollm2-135m-instruct={STORIES}/stories260K-f32.gguf"
    with Server("--stand-ins", models=[stand_in], env={"VERGE_MODELS": str(tmp_path)}) as server:
        status, headers, text = server.post(f"{ACCOUNT}/run/@cf/meta/llama-3.2-1b-instruct", {"prompt": "Hi", "max_tokens": 4})
        assert status == 200, text
        assert headers["verge-substituted"] == "1" and headers["verge-model"] == "@verge/smollm2-135m-instruct"
    with Server(models=[stand_in], env={"VERGE_MODELS": str(tmp_path)}) as server:
        status, _, text = server.post(f"{ACCOUNT}/run/@cf/meta/llama-3.2-1b-instruct", {"prompt": "Hi", "max_tokens": 4})
        assert status >= 400 and "verge pull" in text
