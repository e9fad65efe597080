"""Connections: what idle ones cost, what one client can take, and names that are not this machine's."""
import json, os, socket, ssl, subprocess
import pytest
from harness import ACCOUNT, STORIES, Server, eventually, free_port


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(data)
        out = b""
        while part := s.recv(65536):
            out += part
        return out


class TlsServer(Server):
    """The harness asks over HTTP whether a server is ready; this one speaks TLS only."""

    def __init__(self, folder):
        key, certificate = f"{folder}/key.pem", f"{folder}/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.port = free_port()
        self.folder = folder
        self.context = ssl.create_default_context(cafile=certificate)
        self.context.check_hostname = False
        command = [os.environ["VERGE_BINARY"], "serve", "--listen", f"127.0.0.1:{self.port}", "--data", f"{folder}/data", "--tls-cert", certificate, "--tls-key", key]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        eventually(self.is_up)

    def is_up(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def connect(self):
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port)))

    def __exit__(self, *_):
        self.stop()


def test_an_idle_tls_connection_costs_less_than_25_kb(tmp_path):
    with TlsServer(tmp_path) as server:
        warm = [server.connect() for _ in range(50)]
        before = resident(server.process.pid)
        count = 400
        idle = [server.connect() for _ in range(count)]
        last = server.connect()  # its answer says that those before it have been taken
        last.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert last.recv(65536).startswith(b"HTTP/1.1 200")
        each = (resident(server.process.pid) - before) / count
        for one in warm + idle:
            one.close()
    assert each < 25_000, f"{each:.0f} bytes a connection"


def test_bodies_that_are_announced_shut_nobody_out(stories):
    held = []
    for i in range(300):
        s = socket.create_connection(("127.0.0.1", stories.port))
        s.sendall(b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n{" if i % 2 else b"POST /run HTTP/1.1\r\nHost: local")
        held.append(s)
    status, _, text = stories.post(f"{ACCOUNT}/run/@t/stories", {"prompt": "Once", "max_tokens": 2})
    for s in held:
        s.close()
    assert status == 200, text


def test_readers_that_read_nothing_hold_no_slot():
    ask = {"model": "@t/stories", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 300, "temperature": 0, "stream": True, "logprobs": True, "top_logprobs": 20}

    def text_of(answer):
        events = [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: {")]
        return "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e.get("choices"))

    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
        def at_the_model():
            return sum(model["in_flight"] for model in json.loads(server.get("/verge/v1/status")[2])["models"])

        status, _, whole = server.post("/v1/chat/completions", ask)
        assert status == 200, whole
        body = json.dumps(ask).encode()
        stuck = []
        for _ in range(3):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", server.port))
            s.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            stuck.append(s)
        eventually(lambda: at_the_model() == 3)
        eventually(lambda: at_the_model() == 0)
        # Each goes on where it was as soon as it is read: nothing is lost, nothing comes twice.
        for s in stuck:
            out = b""
            while part := s.recv(65536):
                out += part
            assert text_of(out) == text_of(whole.encode())
            assert b"[DONE]" in out


@pytest.mark.parametrize("path", ["/", "/v1/models", "/metrics", "/healthz", "/verge/v1/status", "/nowhere"])
def test_a_name_that_is_not_this_machines_is_refused(stories, path):
    def status(host):
        return int(raw(stories.port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()).split()[1])

    assert status(f"rebound.example:{stories.port}") == 403
    assert status(f"localhost:{stories.port}") != 403
