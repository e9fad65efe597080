"""`verge dev` for tests: a copy of a project on a free port, against a server of the test's."""
import contextlib, os, pathlib, shutil, signal, subprocess, tempfile, time, urllib.error, urllib.request

from harness import ROOT, VERGE, free_port

PROJECTS = pathlib.Path(__file__).parent / "projects"
EXAMPLES = ROOT / "examples"


def descendants(pid):
    """Every process below `pid`."""
    below, todo = [], [pid]
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                parents[int(entry)] = int(stat.read().rpartition(")")[2].split()[1])
    while todo:
        parent = todo.pop()
        children = [p for p, q in parents.items() if q == parent]
        below += children
        todo += children
    return below


def alive(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


class Dev:
    def __init__(self, project, *options, server=None, env=None, edit=None, ready=True, within=""):
        """A copy of `project`; `within`: the folder in it that the command is given."""
        self.folder = tempfile.TemporaryDirectory(prefix="verge-dev-")
        self.project = pathlib.Path(self.folder.name) / "project"
        shutil.copytree(project, self.project)
        if edit:
            edit(self.project)
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log_path = os.path.join(self.folder.name, "log")
        command = [VERGE, "dev", str(self.project / within), "--port", str(self.port), *(["--server", server] if server else []), *options]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder.name, env={**os.environ, **(env or {})})
        if ready:
            self.wait_for("ready on" if "--wrangler" not in options else "Ready on")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_for(self, text):
        while text.lower() not in self.log().lower():
            if self.process.poll() is not None and text.lower() not in self.log().lower():
                raise RuntimeError(f"verge dev ended with {self.process.returncode}: {self.log()}")
            time.sleep(0.05)

    def wait_for_line(self, line):
        while line not in self.log().split("\n"):
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)

    def request(self, path="/", body=None, headers=None, method=None):
        """(status, headers, bytes); errors are answers too."""
        request = urllib.request.Request(self.base + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def text(self, path="/", body=None, **options):
        status, _, data = self.request(path, body, **options)
        assert status < 400, (status, data, self.log())
        return data.decode()

    def stop(self, sig=signal.SIGTERM):
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait()
        return below

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()


# Prints at every level what a reader of words would trip over; tests compare what arrives, line by line.
TALK = r"""export default { async fetch(request, env, ctx) {
  const path = new URL(request.url).pathname;
  if (path === "/throw") throw new TypeError("on purpose\nand a second line");
  if (path === "/later") { ctx.waitUntil(scheduler.wait(1).then(() => { throw new RangeError("after the answer"); })); return new Response("ok"); }
  if (path === "/long") { console.log("ü".repeat(200000) + "end"); return new Response("ok"); }
  console.debug("one", { a: 1, b: [1, 2] });
  console.log("two\n  lines\n\nand a gap");
  console.info("three: Ready on http://x");
  console.log("AI binding is not supported, warning");
  console.log("Address already in use; toString() = 1");
  console.log("workerd/server.c++:10: kj failed");
  console.log('{"timestamp":1,"level":"error","message":"quoted"}');
  console.log("Logs were written to nowhere");
  console.log("\u001b[31mred\u001b[0m");
  console.warn("four");
  console.error(new Error("five"));
  console.log("six");
  return new Response("ok");
} }"""
# Of the above, what needs no formatting, in order.
TALKED = ["one { a: 1, b: [ 1, 2 ] }", "two", "  lines", "", "and a gap", "three: Ready on http://x", "AI binding is not supported, warning", "Address already in use; toString() = 1",
          "workerd/server.c++:10: kj failed", '{"timestamp":1,"level":"error","message":"quoted"}', "Logs were written to nowhere", "\x1b[31mred\x1b[0m", "six"]
