"""verge serve --worker: Workers as services behind the gateway."""
import contextlib, functools, http.client, json, os, pathlib, re, signal, sqlite3, ssl, subprocess, time, urllib.request

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
        # Its name may end in a dot, and its port must be one.
        assert raw_request(server.port, "GET", "/x", {"host": "keeper.example."})[0] == 200
        assert raw_request(server.port, "GET", "/x", {"host": "keeper.example:70000"})[0] == 400
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
    status, headers, body = ask(several, "broken", "/")
    assert status == 503 and headers["retry-after"] and "broken could not be started" in body and "index.js" not in body
    ready = json.loads(several.get("/readyz?verbose")[2])
    assert ready["status"] == "ready" and {w["name"]: "src/index.js:1" in w.get("error", "") for w in ready["workers"]}["broken"]
    assert "workers" not in json.loads(several.get("/readyz")[2])
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


def test_what_wrangler_prints_is_in_the_log_and_no_charges_are_announced(kv_project, tmp_path):
    config = kv_project / "wrangler.toml"
    config.write_text("nonsense = 1\n" + config.read_text() + '[ai]\nbinding = "AI"\n')
    with Server("--worker", str(kv_project), "--log-format", "json", data=str(tmp_path / "data")) as server:
        wait_ready(server, "keeper")
        assert any("Unexpected fields" in message and "\x1b" not in message for message, _, _ in said(server, "keeper"))
        assert "usage charges" not in server.log()
        assert [line for line in server.log().splitlines() if not line.startswith("{")] == []


def test_an_environment_that_is_not_there_is_no_other_one(kv_project, tmp_path):
    config = kv_project / "wrangler.toml"
    for more, reason in (("", "wrangler.toml has no environment 'production' (--worker-env)"), ("[env.staging]\n", "No environment found in configuration with name")):
        config.write_text(config.read_text() + more)
        with Server("--worker", str(kv_project), "--worker-env", "keeper=production", data=str(tmp_path / "data")) as server:
            eventually(lambda: "error" in workers(server)["keeper"])
            row = workers(server)["keeper"]
            assert row["state"] == "failed" and reason in row["error"]


def test_a_bad_cron_expression_is_refused_and_what_ran_goes_on(kv_project, tmp_path):
    config = kv_project / "wrangler.toml"
    good = config.read_text()
    with Server("--worker", str(kv_project), data=str(tmp_path / "data")) as server:
        wait_ready(server, "keeper")
        for cron in ("bad cron", "99 * * * *"):
            config.write_text(good + f'[triggers]\ncrons = ["{cron}"]\n')
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: f'"{cron}" is no cron expression' in workers(server)["keeper"].get("reload_error", ""))
            assert workers(server)["keeper"]["state"] == "ready" and server.get("/x", {"host": "keeper.example"})[0] == 200
        server.stop()
    with Server("--worker", str(kv_project), data=str(tmp_path / "data")) as server:
        eventually(lambda: '"99 * * * *" is no cron expression' in workers(server)["keeper"].get("error", ""))


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


@pytest.mark.parametrize("answers, restarted, cut", [("false", "false", True), ("true", "false", False), ("false", "true", True)])
def test_a_runtime_that_breaks_connections_while_it_loops_is_cut(answers, restarted, cut):
    """A process that computes, and a probe that answers or breaks every connection; the process may come after the watch."""
    script = """import { spawn } from "node:child_process";
      import http from "node:http";
      import { watchForLoops } from "%s";
      const loop = () => spawn(process.execPath, ["-e", "for (;;);"]);
      const idle = () => spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
      const processes = [%s ? idle() : loop()];
      let asked = 0;
      const done = (word) => { console.log(word); processes.forEach((one) => one.kill("SIGKILL")); process.exit(0); };
      const server = http.createServer((_, answer) => { if (++asked > 8 && %s) done("goes on"); %s ? answer.writeHead(204).end() : answer.destroy(); });
      server.listen(0, "127.0.0.1", () => {
        const url = `http://127.0.0.1:${server.address().port}/`;
        watchForLoops({ url, pid: () => processes.at(-1).pid, limitMs: 2000, cut: done });
        if (%s) setTimeout(() => { processes[0].kill("SIGKILL"); processes.push(loop()); }, 600);
      });""" % (ROOT / "workers" / "src" / "loop.mjs", restarted, answers, answers, restarted)
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True)
    assert done.stdout.strip() == ("computed for more than 2000 ms in one stretch (limits.cpu_ms)" if cut else "goes on"), done.stderr


def test_cron_fires_once_a_tick(several):
    ticks = eventually(lambda: json.loads(raw_request(several.port, "GET", "/ticks", {"host": "localhost"})[1]))
    assert len(set(ticks)) == len(ticks) and all(tick % 60_000 == 0 for tick in ticks)
    eventually(lambda: any(message.startswith("Uncaught Error: cron * * * * * fails\n") for message, _, _ in said(several, "echo")))
    data = pathlib.Path(several.folder.name) / "data" / "workers" / "echo" / "cron.json"
    assert json.loads(data.read_text())["* * * * *"] >= ticks[-1]


def test_a_runtime_that_is_killed_alone_comes_back(several):
    before = workers(several)["talk"]["restarts"]
    for pid in descendants(several.process.pid):
        with contextlib.suppress(OSError):
            parent = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1]
            if os.readlink(f"/proc/{pid}/exe").endswith("/workerd") and "/talk" in open(f"/proc/{parent}/cmdline").read():
                os.kill(pid, signal.SIGKILL)
    eventually(lambda: workers(several)["talk"]["restarts"] > before)
    eventually(lambda: ask(several, "talk", "/")[0] == 200)


def test_workers_find_each_others_new_code(several):
    before = workers(several)
    several.process.send_signal(signal.SIGHUP)
    for name in ("front", "back", "talk", "echo"):
        eventually(lambda: (row := workers(several)[name])["reloads"] > before[name]["reloads"] and row["state"] == "ready")
        assert "reload_error" not in workers(several)[name] and workers(several)[name]["restarts"] == before[name]["restarts"]
    eventually(lambda: ask(several, "front", "/fetch")[2] == "front, back")
    assert ask(several, "back", "/front")[2] == "back, front alone"
    assert ask(several, "front", "/object")[2].isdigit()
    assert ask(several, "broken", "/")[0] == 503


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


def row_of(server, name):
    return workers(server)[name]


def requests_in_log(server, name):
    entries = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry.get("message") == "worker request" and entry["worker"] == name]


def test_requests_are_in_log_and_metrics_by_worker(several):
    assert ask(several, "talk", "/throw")[0] == 500
    assert ask(several, "broken", "/secret?key=hidden")[0] == 503
    entry = next(entry for entry in requests_in_log(several, "broken") if entry["path"] == "/secret")
    assert (entry["status"], entry["method"], entry["host"]) == (503, "GET", "broken.example") and entry["ms"] >= 0 and "hidden" not in several.log()
    assert any(entry["status"] == 500 and entry["path"] == "/throw" for entry in requests_in_log(several, "talk"))
    metrics = several.get("/metrics")[2]
    for part in ('verge_worker_requests_total{status="503",worker="broken"}', 'verge_worker_requests_total{status="500",worker="talk"}', 'verge_worker_request_duration_seconds_count{worker="talk"}',
                 'verge_worker_up{worker="talk"} 1', 'verge_worker_restarts_total{worker="broken"}'):
        assert part in metrics, part


def cli(*words, **options):
    return subprocess.run([VERGE, *map(str, words)], capture_output=True, text=True, **options)


# Asks the model, and reaches out for what is not its own.
ASKER = """export default { async fetch(request, env) {
  const path = new URL(request.url).pathname;
  if (path === "/ai") return Response.json(await env.AI.run("@t/stories", { prompt: "Hi", max_tokens: 3 }));
  const answer = await env.AI.fetch("https://workers-binding.ai" + path, { method: request.method });
  return new Response(await answer.text(), { status: answer.status });
} };"""


def test_workers_have_an_account_of_their_own_and_tokens_break_nothing(tmp_path):
    first = make_project(tmp_path / "first", ASKER, '[ai]\nbinding = "AI"\n')
    second = make_project(tmp_path / "second", ASKER, '[ai]\nbinding = "AI"\n')
    model = f"@t/stories={STORIES}/stories260K-f32.gguf"
    options = ["--worker", f"first.example/*={first}", "--worker", f"second.example/*={second}", "--worker-account", "first=team-a", "--log-format", "json"]
    with Server(*options, models=[model]) as server:
        wait_ready(server, "first")
        wait_ready(server, "second")
        assert ask(server, "first", "/ai")[0] == 200
        data = os.path.join(server.folder.name, "data")
        made = cli("token", "create", "--name", "admin", "--scope", "admin", "--data", data)
        token = next(word for word in made.stdout.split() if word.startswith("vrg_"))
        # The first token was made: nobody else comes in without one, the Workers go on.
        assert server.get("/v1/models")[0] == 401
        assert ask(server, "first", "/ai")[0] == ask(server, "second", "/ai")[0] == 200
        admin = {"authorization": f"Bearer {token}"}
        rows = json.loads(server.get("/verge/v1/usage?by=account", admin)[2])["result"]["rows"]
        assert {row["account"]: row["requests"] for row in rows} == {"team-a": 2, "default": 1}
        asked = [json.loads(line) for line in server.log().splitlines() if '"route":"/run"' in line]
        assert [(entry["worker"], entry["tenant"]) for entry in asked] == [("first", "team-a"), ("first", "team-a"), ("second", "default")]
        # A Worker is no administrator, and has no other account.
        assert ask(server, "first", "/verge/v1/status")[0] == 403
        assert ask(server, "first", "/client/v4/accounts/other/ai/models/search")[0] == 403
        assert ask(server, "first", "/client/v4/accounts/team-a/ai/models/search")[0] == 200
        # The port for Workers is for those who know a Worker's secret, which no command line and no environment has.
        below = descendants(server.process.pid)
        inner = listening([server.process.pid]) - {server.port}
        assert len(inner) == 1
        for target in ("/run", "/v1/models", "/?verge_worker=", "/v1/models?verge_worker=" + "0" * 64):
            assert raw_request(*inner, "GET", target, {"host": "localhost", "authorization": f"Bearer {token}"})[0] == 403
        for pid in below:
            with contextlib.suppress(OSError):
                assert b"verge_worker=" not in open(f"/proc/{pid}/cmdline", "rb").read() + open(f"/proc/{pid}/environ", "rb").read()


@pytest.mark.parametrize("option, text", [("nobody=x", "no hosted Worker's folder is called nobody"), ("keeper=a b", "is no account"), ("keeper", "wants NAME=VALUE")])
def test_an_account_for_no_worker_is_an_error(kv_project, tmp_path, option, text):
    done = cli("serve", "--listen", f"127.0.0.1:{free_port()}", "--data", tmp_path / "data", "--worker", kv_project, "--worker-account", option)
    assert done.returncode == 1 and text in done.stderr


VERSION = """export default { async fetch(request, env) {
  if (new URL(request.url).pathname !== "/stream") return new Response("one");
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  (async () => { for (let i = 0; i < 600; i += 1) { await writer.write(new TextEncoder().encode("one\\n")); await scheduler.wait(100); } await writer.close(); })();
  return new Response(readable);
} };"""


def test_new_code_goes_live_on_sighup_and_broken_code_does_not(tmp_path):
    shop = make_project(tmp_path / "shop", VERSION)
    counter = make_project(tmp_path / "counter", COUNTER, COUNTER_CONFIG)
    other = make_project(tmp_path / "other", 'export default { fetch: () => new Response("other") };')
    options = [word for folder in (shop, counter, other) for word in ("--worker", f"{folder.name}.example/*={folder}")]
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    model = f"@t/stories={STORIES}/stories260K-f32.gguf"
    with Server("--catalogue", str(catalogue), *options, models=[model]) as server:
        for name in ("shop", "counter", "other"):
            wait_ready(server, name)
        assert server.post("/v1/completions", json.dumps({"model": "@t/stories", "prompt": "Hi", "max_tokens": 2}).encode())[0] == 200
        loaded = json.loads(server.get("/verge/v1/status")[2])["models"][0]["pid"]
        assert [ask(server, "counter", "/")[2] for _ in range(2)] == ["one 1", "one 2"]
        stream = urllib.request.urlopen(urllib.request.Request(server.base + "/stream", headers={"host": "shop.example"}))
        assert stream.readline() == b"one\n"

        (catalogue / "mine.json").write_text(json.dumps({"id": "@me/alias-test", "task": "text-generation", "description": "mine", "context_tokens": 512, "aliases": ["mine-alias"]}))
        for folder in (shop, counter):
            source = folder / "src" / "index.js"
            source.write_text(source.read_text().replace('"one"', '"two"').replace("one ${", "two ${"))
        (other / "src" / "index.js").write_text("export default { fetch( {")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: ask(server, "shop", "/")[2] == "two")
        # What was under way goes on with the code that it began with.
        assert stream.readline() == b"one\n"
        stream.close()
        # One copy of a Durable Object at a time, and its storage goes on.
        counts = ["one 2"]
        eventually(lambda: counts.append(ask(server, "counter", "/")[2]) or counts[-1].startswith("two"))
        assert [int(text.split()[1]) for text in counts] == list(range(2, len(counts) + 2))
        row = eventually(lambda: (row := row_of(server, "other")).get("reload_error") and row)
        assert row["state"] == "ready" and "src/index.js:1" in row["reload_error"]
        assert ask(server, "other", "/")[2] == "other"
        ready = json.loads(server.get("/readyz?verbose")[2])
        assert "src/index.js:1" in {w["name"]: w for w in ready["workers"]}["other"]["reload_error"] and ready["reload"]["errors"] == []
        assert "@me/alias-test" in server.get("/client/v4/accounts/local/ai/models/search")[2]
        assert json.loads(server.get("/verge/v1/status")[2])["models"][0]["pid"] == loaded
        # Mended, it comes in; what else is wrong now is said, and what was there before goes on.
        (other / "src" / "index.js").write_text('export default { fetch: () => new Response("mended") };')
        (catalogue / "mine.json").write_text("{")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: ask(server, "other", "/")[2] == "mended")
        assert "reload_error" not in row_of(server, "other")
        assert "mine.json" in json.loads(server.get("/readyz?verbose")[2])["reload"]["errors"][0]
        assert "@me/alias-test" in server.get("/client/v4/accounts/local/ai/models/search")[2]


COUNTER = """import { DurableObject } from "cloudflare:workers";
export class Count extends DurableObject {
  async fetch() {
    const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
    await this.ctx.storage.put("count", count);
    return new Response(`one ${count}`);
  }
}
export default { fetch: (request, env) => env.COUNT.get(env.COUNT.idFromName("x")).fetch(request) };"""
COUNTER_CONFIG = '[[durable_objects.bindings]]\nname = "COUNT"\nclass_name = "Count"\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Count"]\n'


def test_routes_that_collide_are_refused_by_name(tmp_path):
    plain = 'export default { fetch: () => new Response("x") };'
    a = make_project(tmp_path / "a", plain, 'routes = ["a.example/*"]\n')
    b = make_project(tmp_path / "b", plain, 'routes = ["b.example/*", "A.example/*"]\n')
    c, d = make_project(tmp_path / "c", plain), make_project(tmp_path / "d", plain)
    called = make_project(tmp_path / "called", plain, "workers_dev = false\n")
    for workers_given, text in (([a, b], "the Workers a and b have the same route 'a.example/*'"), ([c, d], "the Workers c and d would both take"), ([f"*/v1/*={a}"], "route '*/v1/*' collides with the API's own /v1/"),
                                ([f"localhost/*={a}"], "a name of this server")):
        done = cli("serve", "--listen", f"127.0.0.1:{free_port()}", "--data", tmp_path / "data", *[word for one in workers_given for word in ("--worker", str(one))])
        assert done.returncode == 1 and text in done.stderr, (done.stderr, text)
    # Found at a reload, it is the new code that does not come in.
    with Server("--worker", str(a), "--worker", str(c), "--worker", str(called)) as server:
        for name in ("a", "c", "called"):
            wait_ready(server, name)
        config = c / "wrangler.toml"
        config.write_text(config.read_text() + 'routes = ["a.example/*"]\n')
        server.process.send_signal(signal.SIGHUP)
        row = eventually(lambda: (row := row_of(server, "c")).get("reload_error") and row)
        assert "the Workers a and c have the same route 'a.example/*'" in row["reload_error"] and row["state"] == "ready"
        # What the API leaves is the Worker's, the page's own address and the description's, too: those are below /verge then.
        for path in ("/", "//", "/openapi.json"):
            assert server.get(path)[2] == "x", path
        assert server.post("/", {})[2] == "x"
        assert "<title>Verge</title>" in server.get("/verge/")[2]
        assert json.loads(server.get("/verge/openapi.json")[2])["openapi"] == "3.1.0"


# Keeps what comes in; "bad" is never done, "loop" computes for ever, "slow" takes its time.
QUEUED = """export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/send") { await env.JOBS.send(url.searchParams.get("body"), { delaySeconds: Number(url.searchParams.get("delay") ?? 0), contentType: "text" }); return new Response("sent"); }
    if (url.pathname === "/batch") { await env.JOBS.sendBatch([{ body: { a: new Date(5) }, contentType: "v8" }, { body: [1], contentType: "json" }, { body: new Uint8Array([7, 8]), contentType: "bytes" }]); return new Response("sent"); }
    if (url.pathname === "/big") { try { await env.JOBS.send("x".repeat(200000), { contentType: "text" }); } catch (error) { return new Response(error.message, { status: 500 }); } }
    if (url.pathname === "/none") { await env.NOBODY.send("kept", { contentType: "text" }); return new Response("sent"); }
    return Response.json((await env.KEPT.list()).keys.map(({ name }) => name));
  },
  async queue(batch, env) {
    for (const message of batch.messages) {
      const body = typeof message.body === "string" ? message.body : message.body instanceof ArrayBuffer ? `bytes ${new Uint8Array(message.body)}` : Array.isArray(message.body) ? `json ${message.body}` : `v8 ${message.body.a.getTime()}`;
      await env.KEPT.put(`${batch.queue} ${body} ${message.attempts}`, "");
      if (body === "loop" && batch.queue === "jobs") for (;;);
      if (body === "slow") await scheduler.wait(60000);
      if (body === "bad" && batch.queue === "jobs") message.retry({ delaySeconds: 1 });
      if (body === "throw") throw new Error("on purpose");
    }
  },
};"""
QUEUED_CONFIG = """[[kv_namespaces]]
binding = "KEPT"
id = "kept"
[[queues.producers]]
binding = "JOBS"
queue = "jobs"
[[queues.producers]]
binding = "NOBODY"
queue = "nobody"
[[queues.consumers]]
queue = "jobs"
max_batch_size = 1
max_batch_timeout = 0
max_retries = 1
dead_letter_queue = "dead"
[[queues.consumers]]
queue = "dead"
max_batch_timeout = 0
[limits]
cpu_ms = 1500
"""


def test_queues_outlive_crashes(tmp_path):
    jobs = make_project(tmp_path / "jobs", QUEUED, QUEUED_CONFIG)
    bystander = make_project(tmp_path / "bystander", 'export default { fetch: () => new Response("here") };')
    options = ["--worker", f"jobs.example/*={jobs}", "--worker", f"bystander.example/*={bystander}"]
    data = str(tmp_path / "data")

    def got(server):
        status, _, text = ask(server, "jobs", "/")
        return set(json.loads(text)) if status == 200 else set()  # it is cut in between

    with Server(*options, data=data) as server:
        wait_ready(server, "jobs")
        assert ask(server, "jobs", "/send?body=bad")[0] == ask(server, "jobs", "/batch")[0] == 200
        eventually(lambda: {"jobs v8 5 1", "jobs json 1 1", "jobs bytes 7,8 1", "jobs bad 1", "jobs bad 2", "dead bad 1"} <= got(server))
        assert "jobs bad 3" not in got(server)
        status, _, text = ask(server, "jobs", "/big")
        assert status == 500 and "128000" in text or "413" in text or "Too Large" in text, text
        assert ask(server, "jobs", "/send?body=slow")[0] == 200
        eventually(lambda: "jobs slow 1" in got(server))
        # Sent, under way and delayed when the server is killed.
        assert ask(server, "jobs", "/none")[0] == ask(server, "jobs", "/send?body=later&delay=5")[0] == 200
        below = descendants(server.process.pid)
        server.stop(signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in below))
    with Server(*options, data=data) as server:
        wait_ready(server, "jobs")
        eventually(lambda: "jobs later 1" in got(server))
        # Cut short by the crash: that was no attempt of its own.
        eventually(lambda: {"jobs slow 1", "jobs later 1"} <= got(server))
        rows = sqlite3.connect(f"{data}/workers/queues.db").execute("SELECT queue, CAST(body AS TEXT) FROM messages ORDER BY key").fetchall()
        assert ("nobody", "kept") in rows and ("jobs", "slow") in rows
        # One that loops is cut, tried once more, and put aside; nobody else is hurt.
        restarts = row_of(server, "bystander")["restarts"]
        assert ask(server, "jobs", "/send?body=loop")[0] == 200
        eventually(lambda: ask(server, "bystander", "/")[2] == "here" and row_of(server, "jobs")["restarts"] >= 1)
        eventually(lambda: {"jobs loop 1", "jobs loop 2"} <= got(server))
        eventually(lambda: "dead loop 1" in got(server))
        assert "jobs loop 3" not in got(server)
        assert row_of(server, "bystander")["restarts"] == restarts


SECRETS = """export default { async fetch(request, env) {
  const rows = await env.DB.prepare("SELECT name FROM things ORDER BY name").all().then(({ results }) => results.map(({ name }) => name), (error) => [error.message]);
  return Response.json({ rows, kept: await env.KEPT.get("seed"), object: await (await env.FILES.get("seed.txt"))?.text(), secret: env.SECRET, stage: env.STAGE });
} };"""
SECRETS_CONFIG = """[[d1_databases]]
binding = "DB"
database_name = "shop-db"
database_id = "shop-db-id"
[[kv_namespaces]]
binding = "KEPT"
id = "kept"
[[r2_buckets]]
binding = "FILES"
bucket_name = "files"
[vars]
STAGE = "production"
[env.staging]
vars = { STAGE = "staging" }
d1_databases = [{ binding = "DB", database_name = "shop-db", database_id = "shop-db-id" }]
kv_namespaces = [{ binding = "KEPT", id = "kept" }]
r2_buckets = [{ binding = "FILES", bucket_name = "files" }]
"""


def test_migrations_seeds_secrets_and_environments(tmp_path):
    shop = make_project(tmp_path / "shop", SECRETS, SECRETS_CONFIG)
    (shop / "migrations").mkdir()
    (shop / "migrations" / "0001_things.sql").write_text("CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('first');")
    (shop / ".dev.vars").write_text("SECRET=of the folder\n")
    (tmp_path / "secrets").write_text("SECRET=of the server\n")
    (tmp_path / "seed.txt").write_text("an object")
    data = tmp_path / "data"

    def seed(*where):
        for words in (("d1", "migrations", "apply", "shop-db", "--local"), ("d1", "execute", "shop-db", "--command", "INSERT INTO things VALUES ('second')"), ("kv", "key", "put", "--binding", "KEPT", "seed", "a value"),
                      ("r2", "object", "put", "files/seed.txt", "--file", str(tmp_path / "seed.txt"))):
            done = cli("wrangler", shop, *where, "--", *words, stdin=subprocess.DEVNULL, cwd=tmp_path)
            assert done.returncode == 0, (words, done.stdout, done.stderr)

    seeded = {"rows": ["first", "second"], "kept": "a value", "object": "an object"}
    seed("--hosted", "--data", data)
    assert not (shop / ".wrangler" / "state").exists()
    with Server("--worker", f"shop.example/*={shop}", "--worker-env", "shop=staging", "--worker-secrets", f"shop={tmp_path}/secrets", data=str(data)) as server:
        wait_ready(server, "shop")
        assert json.loads(ask(server, "shop", "/")[2]) == {**seeded, "secret": "of the server", "stage": "staging"}
        # While it runs: a migration of its own, and other secrets with a reload.
        (shop / "migrations" / "0002_more.sql").write_text("INSERT INTO things VALUES ('third');")
        done = cli("wrangler", shop, "--hosted", "--data", data, "--", "d1", "migrations", "apply", "shop-db", stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (done.stdout, done.stderr)
        (tmp_path / "secrets").write_text("SECRET=rotated\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: json.loads(ask(server, "shop", "/")[2]) == {**seeded, "rows": ["first", "second", "third"], "secret": "rotated", "stage": "staging"})
    seed()
    assert (shop / ".wrangler" / "state" / "v3" / "d1").exists()
    for words, text in ((("deploy",), "verge serve --worker"), (("secret", "put", "X"), ".dev.vars"), (("d1", "execute", "shop-db", "--remote", "--command", "x"), "--remote"), (("login",), "would call Cloudflare")):
        done = cli("wrangler", shop, "--", *words)
        assert done.returncode == 1 and text in done.stderr, (words, done.stderr)


def test_sighup_never_ends_a_server(tmp_path):
    """From its first moment to its last; certificates are read again."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"

    def make_certificate(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate], check=True, capture_output=True)

    def served(port):
        try:
            return ssl.get_server_certificate(("127.0.0.1", port))
        except OSError:
            return None

    make_certificate("first")
    first = certificate.read_text()
    port = free_port()
    log = open(tmp_path / "log", "w")
    process = subprocess.Popen([VERGE, "serve", "--listen", f"127.0.0.1:{port}", "--data", tmp_path / "data", "--tls-cert", certificate, "--tls-key", key], stderr=log, stdin=subprocess.DEVNULL)
    try:
        caught = lambda: int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{process.pid}/status").read())[1], 16) & 1
        eventually(caught)
        while served(port) is None:  # all the way through the start
            process.send_signal(signal.SIGHUP)
            assert process.poll() is None
        assert served(port).strip() == first.strip()
        make_certificate("second")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: served(port) == ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(certificate.read_text())))
        second = served(port)
        key.write_text("no key")  # the old pair goes on
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "not reloaded" in (tmp_path / "log").read_text())
        assert served(port) == second
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)
        assert process.returncode == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
