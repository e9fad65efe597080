"""A real `verge serve` for tests: started on a free port with a data folder of its own, stopped at the end."""
import contextlib, json, os, pathlib, signal, socket, subprocess, tempfile, time, urllib.error, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERGE = os.environ["VERGE_BINARY"]
DATA = ROOT / "tests" / "data"
STORIES = DATA / "models" / "stories260K"
MODELS = pathlib.Path(os.environ.get("VERGE_MODELS") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "verge", "models"))
ACCOUNT = "/client/v4/accounts/test/ai"
SMOLLM = "@verge/smollm2-135m-instruct"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def installed(model_id):
    """Path of a pulled GGUF, or None."""
    files = sorted((MODELS / model_id).glob("*.gguf"))
    return files[0] if files else None


class Server:
    def __init__(self, *options, models=(), env=None, data=None, port=None, program=(VERGE,)):
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.folder = tempfile.TemporaryDirectory(prefix="verge-e2e-")
        self.log_path = os.path.join(self.folder.name, "log")
        command = [*program, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", data or os.path.join(self.folder.name, "data")]
        for model in models:
            command += ["--model", model]
        if "--drain-delay" not in options:
            command += ["--drain-delay", "0"]  # no balancer stands before it
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command + list(options), stderr=log, stdout=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        while True:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended: " + self.log())
            with contextlib.suppress(OSError, urllib.error.URLError):
                if urllib.request.urlopen(self.base + "/readyz").status == 200:
                    return
            time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def post(self, path, body, headers=None):
        """(status, headers, text); errors are answers too."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json", **(headers or {})})
        return self._open(request)

    def get(self, path, headers=None):
        return self._open(urllib.request.Request(self.base + path, headers=headers or {}))

    def _open(self, request):
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def run(self, model, inputs):
        status, _, text = self.post(f"{ACCOUNT}/run/{model}", inputs)
        assert status == 200, text
        return json.loads(text)["result"]

    def status(self):
        return json.loads(self.get("/verge/v1/status")[2])

    def worker(self, model):
        return next((m for m in self.status()["models"] if m["id"] == model), None)


def sse(text):
    """Data of all events; checks that the stream ends with exactly one [DONE]."""
    events = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    assert events and events[-1] == "[DONE]", text[-300:]
    assert events.count("[DONE]") == 1
    return [json.loads(e) for e in events[:-1]]


def eventually(check):
    """Waits for what must come about; the bound only keeps a failure from hanging the run."""
    for _ in range(6000):
        if value := check():
            return value
        time.sleep(0.02)
    raise AssertionError("it never came about")
