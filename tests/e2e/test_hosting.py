"""verge serve --worker: Workers as services behind the gateway."""
import contextlib, functools, http.client, json, os, pathlib, signal, subprocess, time, urllib.request

import pytest

from harness import ROOT, STORIES, VERGE, Server, eventually, free_port
from workers_harness import PROJECTS, TALK, TALKED, alive, descendants

KV = """
let count = 0;
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/die") throw new Error("on purpose");
    if (url.pathname === "/big") return new Response(String((await request.arrayBuffer()).byteLength));
    if (request.method === "PUT") return new Response(await env.KEPT.put("key", await request.text()));
    return Response.json({ host: url.host, kept: await env.KEPT.get("key"), ip: request.headers.get("cf-connecting-ip") });
  },
};
"""


@pytest.fixture
def kv_project(tmp_path):
    project = tmp_path / "keeper"
    (project / "src").mkdir(parents=True)
    (project / "src" / "index.js").write_text(KV)
    (project / "wrangler.toml").write_text('name = "keeper"\nmain = "src/index.js"\ncompatibility_date = "2026-01-01"\nroutes = ["keeper.example/*"]\n[[kv_namespaces]]\nbinding = "KEPT"\nid = "kept"\n')
    return project


def workers(server):
    return {w["name"]: w for w in json.loads(server.get("/verge/v1/status")[2])["workers"]}


def wait_ready(server, name):
    eventually(lambda: workers(server)[name]["state"] == "ready")


def test_routes_state_and_restart(kv_project):
    model = f"@t/stories={STORIES}/stories260K-f32.gguf"
    with Server("--worker", str(kv_project), "--worker", str(PROJECTS / "bindings"), models=[model]) as server:
        wait_ready(server, "keeper")
        wait_ready(server, "bindings")
        # By host: the API's own paths too.
        keeper = {"host": "keeper.example"}
        assert server.get("/v1/models", keeper)[0] == 200
        assert json.loads(server.get("/v1/models", keeper)[2])["host"] == "keeper.example"
        assert json.loads(server.get("/x", keeper)[2])["ip"] == "127.0.0.1"
        # The one without routes gets what the API leaves.
        status, _, body = server.get("/plain")
        assert status == 200 and json.loads(body)["result"]["response"], body
        assert json.loads(server.get("/v1/models")[2])["object"] == "list"
        # Streams come through piece by piece.
        events = server.get("/stream")[2]
        assert events.startswith("data: {") and events.rstrip().endswith("[DONE]")
        # A Worker that throws fails its own request.
        assert server.get("/die", keeper)[0] == 500
        assert server.post("/big", b"x" * 3_000_000, keeper)[2] == "3000000"

        server._open(urllib.request.Request(server.base + "/", b"remember me", keeper, method="PUT"))
        pids = [p for p in descendants(server.process.pid) if "keeper" in open(f"/proc/{p}/cmdline").read()]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if workers(server)["keeper"]["restarts"] > 0:
                break
            time.sleep(0.05)
        wait_ready(server, "keeper")
        assert json.loads(server.get("/", keeper)[2])["kept"] == "remember me"
        below = descendants(server.process.pid)
        server.stop()
        for _ in range(500):
            if not any(alive(pid) for pid in below):
                break
            time.sleep(0.02)
        assert [open(f"/proc/{p}/cmdline").read() for p in below if alive(p)] == []


def test_bad_folders_are_errors_at_start(tmp_path):
    for option, text in ((str(tmp_path / "none"), "no such folder"), (f"a/*/b={tmp_path}", "no route")):
        done = subprocess.run([VERGE, "serve", "--listen", f"127.0.0.1:{free_port()}", "--data", str(tmp_path / "data"), "--worker", option], capture_output=True, text=True)
        assert done.returncode == 1 and text in done.stderr


# Says which paths reach it; a cron of its own, a loop on request.
ECHO = """export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/loop") for (;;);
    if (path === "/ticks") return Response.json(JSON.parse((await env.KEPT.get("ticks")) ?? "[]"));
    return Response.json({ echo: path, url: request.url, cf: request.cf, headers: Object.fromEntries(request.headers) });
  },
  async scheduled(event, env) {
    const ticks = JSON.parse((await env.KEPT.get("ticks")) ?? "[]");
    await env.KEPT.put("ticks", JSON.stringify([...ticks, event.scheduledTime]));
    throw new Error(`cron ${event.cron} fails`);
  },
};"""
ECHO_CONFIG = '[[kv_namespaces]]\nbinding = "KEPT"\nid = "kept"\n[triggers]\ncrons = ["* * * * *"]\n[limits]\ncpu_ms = 1500\n'


def make_project(folder, source, config=""):
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "index.js").write_text(source)
    (folder / "wrangler.toml").write_text(f'name = "{folder.name}"\nmain = "src/index.js"\ncompatibility_date = "2025-09-01"\n{config}')
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Workers that are bound to each other, one that prints and one that cannot be built."""
    root = tmp_path_factory.mktemp("hosted")
    talk = make_project(root / "talk", TALK)
    broken = make_project(root / "broken", "export default { fetch( {")
    echo = make_project(root / "echo", ECHO, ECHO_CONFIG)
    folders = {"front": PROJECTS / "front", "back": PROJECTS / "back", "talk": talk, "broken": broken}
    options = [word for name, folder in folders.items() for word in ("--worker", f"{name}.example/*={folder}")]
    with Server("--log-format", "json", "--host", "shop.test", *options, "--worker", str(echo)) as server:  # the last has no route: it gets what is left
        for name in ("front", "back", "talk", "echo"):
            wait_ready(server, name)
        yield server


def ask(server, name, path):
    return server.get(path, {"host": f"{name}.example"})


def said(server, worker):
    """What the log has of a Worker's own output: (message, console level, level)."""
    entries = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [(entry["message"], entry["console"], entry["level"]) for entry in entries if entry.get("worker") == worker and "console" in entry]


def test_hosted_workers_are_bound_to_each_other(several):
    assert ask(several, "front", "/fetch")[2] == "front, back"
    assert ask(several, "back", "/front")[2] == "back, front alone"
    assert [ask(several, "front", path)[2] for path in ("/rpc", "/object", "/object", "/flow", "/queue", "/log")] == ["5", "1", "2", "40", "sent", "logged"]
    eventually(lambda: json.loads(ask(several, "back", "/got")[2]) == {"queue": '[{"number":7}]', "tail": "for the tail"})


def test_a_worker_that_cannot_be_built_says_why_and_holds_up_nobody(several):
    row = eventually(lambda: (row := workers(several)["broken"])["state"] == "failed" and row)
    assert "src/index.js:1" in row["error"]
    assert ask(several, "broken", "/")[0] == 502
    assert '"worker did not start"' in several.log()


def test_what_a_hosted_worker_prints_is_in_the_log(several):
    assert ask(several, "talk", "/")[0] == 200
    eventually(lambda: any(message == "six" for message, _, _ in said(several, "talk")))
    entries = said(several, "talk")
    assert [line for message, console, _ in entries for line in message.split("\n") if console not in ("warn", "error")] == TALKED
    assert ("four", "warn", "warning") in entries
    assert any(message.startswith("Error: five\n    at ") and (console, level) == ("error", "error") for message, console, level in entries)
    ask(several, "talk", "/long")
    eventually(lambda: any(message == "ü" * 200000 + "end" for message, _, _ in said(several, "talk")))


def test_exceptions_are_whole_in_the_log_and_generic_outside(several):
    status, _, body = ask(several, "talk", "/throw")
    assert (status, body) == (500, "Internal Server Error")
    assert ask(several, "talk", "/later")[0] == 200
    eventually(lambda: "after the answer" in str(said(several, "talk")))
    errors = [message for message, console, level in said(several, "talk") if message.startswith("Uncaught")]
    assert [error.split("\n")[0] for error in errors] == ["Uncaught TypeError: on purpose", "Uncaught RangeError: after the answer"]
    assert "and a second line" in errors[0] and "src/index.js:3" in errors[0]
    assert ask(several, "front", "/throw-behind")[2] == "failed: back fails"


def test_a_killed_worker_comes_back_to_those_bound_to_it(several):
    before = workers(several)["back"]["restarts"]
    for pid in descendants(several.process.pid):
        with contextlib.suppress(OSError):
            if f"{PROJECTS}/back" in open(f"/proc/{pid}/cmdline").read():
                os.kill(pid, signal.SIGKILL)
    eventually(lambda: workers(several)["back"]["restarts"] > before)
    assert ask(several, "front", "/alone")[2] == "front alone"
    eventually(lambda: ask(several, "front", "/fetch")[2] == "front, back")
    assert ask(several, "front", "/object")[2].isdigit()


@functools.cache
def runtime_paths():
    """Every route that Miniflare knows, and those of its earlier versions."""
    modules = subprocess.run([ROOT / "workers" / "install", "--quiet"], capture_output=True, text=True, check=True).stdout.strip()
    known = subprocess.run(["node", "-p", "JSON.stringify(Object.values(require('miniflare').CorePaths))"], cwd=modules, capture_output=True, text=True, check=True).stdout
    paths = json.loads(known)
    assert "/cdn-cgi/local/explorer" in paths
    paths += ["/cdn-cgi/explorer", "/cdn-cgi/explorer/api/d1/database", "/cdn-cgi/handler/scheduled", "/cdn-cgi/handler/email", "/cdn-cgi/mf/scheduled", "/cdn-cgi/mf/reload", "/cdn-cgi/platform-proxy",
              "/cdn-cgi/ProxyWorker/play", "/__scheduled", "/core/error", "/core/store-temp-file", "/cdn-cgi/local/explorer/api/storage/kv/namespaces"]
    return paths


def raw_request(port, method, target, headers, patience=None):
    """(status, body); nothing is made of the target."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("content-length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listening(pids):
    """TCP ports on which these processes listen."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    ports = set()
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            ports.add(int(fields[1].split(":")[1], 16))
    return ports


DRESSES = [lambda path: path, lambda path: "/" + path, lambda path: "/x/.." + path, lambda path: "/x/%2e%2e" + path, lambda path: "/." + path, lambda path: path.replace("/cdn-cgi", "/CDN-CGI"),
           lambda path: path.replace("cdn-cgi", "cdn%2dcgi"), lambda path: "/x/..\\" + path[1:], lambda path: "http://localhost" + path]
# What the runtime's own parts say to each other.
TRICKS = {"mf-original-url": "http://localhost/cdn-cgi/local/explorer", "mf-route-override": "verge-probe", "mf-op": "GET", "mf-op-target": "1", "mf-cf-blob": '{"forged":1}', "x-forwarded-proto": "https", "cf-connecting-ip": "1.2.3.4"}


def test_nothing_of_the_runtime_is_open(several):
    """Whatever the Host, the method, the way the path is written: below /cdn-cgi/ nobody gets in, and every 200 is the Worker's own."""
    for path in runtime_paths():
        for host in ("localhost", "127.0.0.1", "[::1]:1", "echo.localhost", "talk.example"):
            for dress in DRESSES if host == "localhost" else DRESSES[:1]:
                for method in ("GET", "POST"):
                    status, body = raw_request(several.port, method, dress(path), {"host": host, **(TRICKS if method == "POST" else {})})
                    if "cdn-cgi" in path:
                        assert status == 404, (status, method, host, dress(path), body)
                    else:
                        assert status != 200 or host == "talk.example" or "echo" in json.loads(body), (method, host, dress(path), body)
    # Behind the gateway: every port of every process of a Worker, the unauthenticated ones first of all.
    ports = listening(descendants(several.process.pid))
    assert workers(several)["echo"]["port"] in ports
    for port in ports:
        for path in runtime_paths():
            try:
                status, body = raw_request(port, "GET", path, {"host": "localhost"}, patience=1)
            except (OSError, http.client.HTTPException):
                break  # no HTTP there: the port on which one runtime calls another
            else:
                assert status != 200 or body in (b"back", b"ok") or b"echo" in body or b"front" in body, (port, path, body)


def test_what_the_gateway_tells_a_worker(several):
    status, body = raw_request(several.port, "GET", "/x?y=1", {"host": "shop.test:1", **TRICKS, "accept-encoding": "br"})
    got = json.loads(body)
    assert status == 200 and got["url"] == "http://shop.test:1/x?y=1"
    assert got["cf"] == {"httpProtocol": "HTTP/1.1", "clientAcceptEncoding": "br"}
    assert got["headers"]["cf-connecting-ip"] == "127.0.0.1" and got["headers"]["x-forwarded-proto"] == "http"
    assert not [name for name in got["headers"] if name.startswith("mf-")]
    assert raw_request(several.port, "GET", "/x", {"host": "a/b@c"})[0] == 400


def test_a_worker_that_loops_is_cut_and_the_others_go_on(several):
    before = workers(several)["echo"]["restarts"]
    assert raw_request(several.port, "GET", "/loop", {"host": "localhost"})[0] == 502
    assert ask(several, "front", "/fetch")[2] == "front, back"
    eventually(lambda: workers(several)["echo"]["restarts"] > before)
    assert "more than 1500 ms in one stretch" in several.log()
    wait_ready(several, "echo")
    assert raw_request(several.port, "GET", "/again", {"host": "localhost"})[0] == 200


def test_cron_fires_once_a_tick(several):
    ticks = eventually(lambda: json.loads(raw_request(several.port, "GET", "/ticks", {"host": "localhost"})[1]))
    assert len(set(ticks)) == len(ticks) and all(tick % 60_000 == 0 for tick in ticks)
    eventually(lambda: any(message.startswith("Uncaught Error: cron * * * * * fails\n") for message, _, _ in said(several, "echo")))
    data = pathlib.Path(several.folder.name) / "data" / "workers" / "echo" / "cron.json"
    assert json.loads(data.read_text())["* * * * *"] >= ticks[-1]


def test_ticks_of_cron_across_a_restart():
    """The plan alone, in Node: [expression, last fired, now] -> [next, missed]."""
    cases = [
        ["* * * * *", None, "2026-01-01T00:00:30", "2026-01-01T00:01:00", 0],
        ["* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:00:00", "2026-01-01T00:01:00", 0],  # fired, then restarted in the same instant
        ["* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:05:30", "2026-01-01T00:06:00", 5],
        ["* * * * *", "2020-01-01T00:00:00", "2026-01-01T00:05:30", "2026-01-01T00:06:00", 1000],
        ["* * * * *", "2026-01-02T00:00:00", "2026-01-01T00:05:30", "2026-01-01T00:06:00", 0],  # the clock was set back
        ["*/15 9 * * 2", None, "2026-01-01T00:00:00", "2026-01-05T09:00:00", 0],  # 2 is Monday
        ["0 0 L * *", None, "2026-01-01T00:00:30", "2026-01-31T00:00:00", 0],
        ["0 0 * * SUN#2", None, "2026-01-01T00:00:00", "2026-01-11T00:00:00", 0],
        ["0 0 15W * *", None, "2026-01-01T00:00:00", "2026-01-15T00:00:00", 0],
    ]
    modules = subprocess.run([ROOT / "workers" / "install", "--quiet"], capture_output=True, text=True, check=True).stdout.strip()
    script = """import { createRequire } from "node:module";
      import { plan } from "%s";
      const { Cron } = createRequire("%s/x.js")("croner");
      const at = (text) => text && Date.parse(text + "Z");
      console.log(JSON.stringify(%s.map(([cron, last, now]) => { const { next, missed } = plan(Cron, cron, at(last) ?? undefined, at(now)); return [new Date(next).toISOString().slice(0, 19), missed]; })));"""
    script %= (ROOT / "workers" / "src" / "cron.mjs", modules, json.dumps(cases))
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [case[3:] for case in cases]
