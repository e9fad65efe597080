"""verge serve --worker: Workers as services behind the gateway."""
import contextlib, json, os, signal, subprocess, time, urllib.request

import pytest

from harness import STORIES, VERGE, Server, free_port
from workers_harness import PROJECTS, alive, descendants

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
    for _ in range(600):
        if workers(server)[name]["state"] == "ready":
            return
        time.sleep(0.05)
    raise AssertionError(server.log())


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
