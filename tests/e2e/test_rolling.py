"""Servers behind a load balancer that are restarted one after the other: clients notice nothing."""

import contextlib, http.client, json, signal, socket, socketserver, threading, urllib.request
from concurrent.futures import ThreadPoolExecutor
import pytest
from harness import ACCOUNT, STORIES, Server, eventually, free_port

MODEL = "@t/stories"
MAP = [f"{MODEL}={STORIES}/stories260K-f32.gguf"]
POLL_S = 0.15


class Balancer(socketserver.ThreadingTCPServer):
    """As Kubernetes' Service: new connections go to the endpoints that were ready when they were last
    asked; a connection stays where it is. Nothing is tried again."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, ports):
        super().__init__(("127.0.0.1", 0), Way)
        self.ports, self.ready, self.turn, self.refused = ports, set(ports), 0, 0
        self.port = self.server_address[1]
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while not self.ended.wait(POLL_S):
            for port in self.ports:
                try:
                    up = urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").status == 200
                except OSError:
                    up = False
                (self.ready.add if up else self.ready.discard)(port)

    def endpoint(self):
        self.turn += 1
        ready = sorted(self.ready)
        return ready[self.turn % len(ready)]

    def __exit__(self, *_):
        self.ended.set()
        self.shutdown()
        self.server_close()


class Way(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            there = socket.create_connection(("127.0.0.1", self.server.endpoint()))
        except OSError:
            self.server.refused += 1
            return
        with there:
            back = threading.Thread(target=self.copy, args=(there, self.request))
            back.start()
            self.copy(self.request, there)
            back.join()

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def ask(connection, kind):
    body = {
        "prompt": "Once upon a time",
        "raw": True,
        "max_tokens": 24,
        "seed": 3,
        "stream": kind == "stream",
    }
    connection.request(
        "POST", f"{ACCOUNT}/run/{MODEL}", json.dumps(body), {"content-type": "application/json"}
    )
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, text
    if kind == "stream":
        assert text.endswith("data: [DONE]\n\n"), text[-200:]
    return text


def client(port, kind, ended, failures):
    """Asks until `ended`; what it asks with is its kind's. How often it was answered."""
    answers, connection = 0, None
    while not ended.is_set():
        try:
            if kind != "kept" or not connection:
                connection = http.client.HTTPConnection("127.0.0.1", port)
            ask(connection, kind)
            answers += 1
        except (OSError, http.client.HTTPException, AssertionError) as error:
            failures.append((kind, repr(error)))
        if kind != "kept":
            connection.close()
    return answers


def test_a_rolling_restart_refuses_and_breaks_nothing():
    ports = [free_port(), free_port()]
    start = lambda port: Server("--drain-delay", "1", models=MAP, port=port)
    ended, failures = threading.Event(), []
    servers = [start(port) for port in ports]
    try:
        with Balancer(ports) as balancer, ThreadPoolExecutor(9) as pool:
            kinds = ["new", "stream", "kept"] * 2
            running = [pool.submit(client, balancer.port, kind, ended, failures) for kind in kinds]
            eventually(lambda: all(s.worker(MODEL) for s in servers))
            for i, port in enumerate(ports):
                assert servers[i].stop() == 0
                servers[i].folder.cleanup()
                servers[i] = start(port)
                eventually(lambda: port in balancer.ready)
            ended.set()
            answered = [one.result() for one in running]
        assert failures == [] and balancer.refused == 0
        assert min(answered) > 3
    finally:
        ended.set()
        for server in servers:
            server.__exit__()


def status_of(server):
    try:
        return server.get("/readyz")[0]
    except OSError:
        return None  # it takes no connections any more


def test_what_watches_is_told_before_connections_are_refused():
    with Server("--drain-delay", "600", models=MAP) as server:
        kept = http.client.HTTPConnection("127.0.0.1", server.port)
        ask(kept, "new")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: status_of(server) == 503)
        # A connection from before, and a new one, are answered and told to go elsewhere.
        for connection in (kept, http.client.HTTPConnection("127.0.0.1", server.port)):
            ask(connection, "new")
            assert connection.sock is None  # by `Connection: close`
        assert server.status()["state"] == "draining"
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)  # at once, whatever the delay
        assert server.process.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    "first,options",
    [(signal.SIGINT, ("--drain-delay", "600")), (signal.SIGTERM, ("--drain-delay", "0"))],
)
def test_who_waits_for_the_prompt_is_not_delayed(first, options):
    with Server(*options, models=MAP) as server:
        assert server.stop(first) == 0
