"""The page at "/" in a real Chromium: every task end to end, an error, a stream that is stopped, tokens, and what
axe-core finds."""
import gzip, json, re, shutil, subprocess
import pytest
from harness import DATA, MODELS, ROOT, STORIES, VERGE, Server
from playwright.sync_api import expect, sync_playwright
from axe_playwright_python.sync_playwright import Axe

CHAT = "@verge/smollm2-135m-instruct"
# Served here whatever is installed: no test depends on a download but those that name what they need.
MODELS_HERE = [f"@t/stories={STORIES}/stories260K-f32.gguf", f"@t/embedder={DATA}/models/tiny-embedder"]


def needs(model):
    return pytest.mark.skipif(not (MODELS / model).is_dir(), reason=f"{model} is not installed")


@pytest.fixture(scope="module")
def server():
    with Server(models=MODELS_HERE) as server:
        yield server


expect.set_options(timeout=120_000)  # a busy machine is slow, and no failure


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "Debian's chromium is one of TEST_PACKAGES"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    yield from new_page(browser, server)


def new_page(browser, server, **options):
    """A page of its own. Anything that it asks of elsewhere, logs as an error or throws fails the test."""
    context = browser.new_context(base_url=server.base, **options)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    # The browser logs each answer that is an error: tests expect some.
    page.on("console", lambda message: message.type == "error" and "status of" not in message.text and page.wrong.append(message.text))
    page.on("request", lambda request: request.url.startswith((server.base, "blob:", "data:")) or page.wrong.append(request.url))
    yield page
    assert page.wrong == []
    context.close()


def choose(page, model):
    page.get_by_label("Model", exact=True).select_option(model)


def say(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def no_barriers(page, where):
    found = Axe().run(page).response["violations"]
    assert not found, (where, [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found])


def test_files_are_small_cached_and_strict(server):
    status, headers, text = server.get("/")
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert "<style" not in text and "onload=" not in text and not re.search(r"<script[^>]*>[^<]", text)
    assert server.get("/", {"if-none-match": headers["etag"]})[0] == 304
    assert server.get("/verge/")[2] == text, "a hosted Worker may take /: the page is here, too"
    total = len(gzip.compress(text.encode()))
    for path in re.findall(r'(?:src|href)="(/verge/page/[^"]+)"', text):
        packed = subprocess.run(["curl", "-sSf", "-H", "accept-encoding: gzip", "-w", "%{header_json}", "-o", "/dev/stdout", server.base + path], capture_output=True, check=True).stdout
        body, head = packed[:packed.rindex(b"{")], json.loads(packed[packed.rindex(b"{"):])
        total += len(body)
        assert "immutable" in head["cache-control"][0]
        assert head.get("content-encoding", ["gzip"]) == ["gzip"]
    assert total <= 300_000
    assert server.get("/verge/page/none.js")[0] == 404


def test_without_npm_the_build_goes_on_and_says_why(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "cat", "sha256sum", "cut", "dirname", "mktemp", "rm", "cp", "ln", "mkdir", "cmake"):
        (tools / tool).symlink_to(shutil.which(tool))
    made, stamp = tmp_path / "page.cpp", tmp_path / "stamp"
    done = subprocess.run(["cmake", f"-DROOT={ROOT}", f"-DOUT={made}", f"-DSTAMP={stamp}", "-P", f"{ROOT}/scripts/embed_page.cmake"],
                          env={"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "npm was not there when it was built" in made.read_text() and "npm was not there" in done.stderr
    assert not stamp.exists(), "the next build tries again"


@needs(CHAT)
def test_chat(page):
    page.goto("/")
    choose(page, CHAT)
    page.get_by_label("System prompt").fill("You answer in one word.")
    page.get_by_label("Most tokens").fill("24")
    page.get_by_label("Seed").fill("7")
    say(page, "Name a colour.")
    expect(page.locator(".facts")).to_contain_text(re.compile(r"first token after \d+ ms · [\d.]+ tokens/s · \d+ tokens read, \d+ written · " + CHAT))
    first = page.locator(".assistant .text").inner_text()
    assert first.strip()
    # The same seed again: the same answer, and still one.
    page.get_by_role("button", name="Regenerate").click()
    expect(page.locator(".facts")).to_have_count(1)
    expect(page.locator(".assistant .text")).to_have_text(first)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit the message").fill("Name an animal.")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".facts")).to_have_count(1)
    expect(page.locator(".turn.user .text")).to_have_text("Name an animal.")
    no_barriers(page, "chat")
    # The request as code: each language has what was set, and the command works as it stands.
    page.get_by_text("This request as code").click()
    code = page.get_by_label("Code", exact=True)
    expect(code).to_contain_text("curl")
    command = code.inner_text()
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert answer.rstrip().endswith("data: [DONE]")
    for language, words in [("Worker", "env.AI.run"), ("JavaScript", 'from "openai"'), ("Python", "from openai import OpenAI")]:
        page.get_by_role("button", name=language, exact=True).click()
        expect(code).to_contain_text(words)
        expect(code).to_contain_text("Name an animal.")
    compile(code.inner_text(), "page.py", "exec")


@needs(CHAT)
def test_a_stream_is_stopped_in_the_middle(page, server):
    page.goto("/")
    choose(page, CHAT)
    page.get_by_label("Most tokens").fill("4000")
    say(page, "Count from one to one thousand in words.")
    expect(page.locator(".assistant .text:not(.waiting)")).not_to_be_empty()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".facts")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    said = page.locator(".assistant .text").inner_text()
    page.wait_for_function("fetch('/verge/v1/status').then(a => a.json()).then(s => s.models.every(m => !m.in_flight))")
    assert page.locator(".assistant .text").inner_text() == said


@needs(CHAT)
def test_schema_and_functions(page):
    page.goto("/")
    choose(page, CHAT)
    page.get_by_label("Most tokens").fill("200")
    page.get_by_label("Form of the answer").select_option("json_schema")
    page.get_by_label("JSON Schema").fill('{"type":"object","properties":{"n":{"type":"integer","maximum":9,"minimum":0}},"required":["n"],"additionalProperties":false}')
    say(page, "Give a number.")
    expect(page.locator(".facts")).to_be_visible()
    assert list(json.loads(page.locator(".assistant .text").inner_text())) == ["n"]
    page.get_by_role("button", name="New chat").click()
    page.get_by_label("Form of the answer").select_option("text")
    page.get_by_role("button", name="Example of a function").click()
    page.get_by_label("Choice of a function").select_option("required")
    say(page, "How is the weather in Paris?")
    expect(page.get_by_label("Call", exact=True).first).to_contain_text("get_weather({")
    page.get_by_label("Choice of a function").select_option("auto")
    page.get_by_label("Result of get_weather").first.fill('{"sky": "clear"}')
    page.get_by_role("button", name="Send the results").click()
    expect(page.locator(".turn.tool").first).to_contain_text("clear")
    expect(page.locator(".turn.assistant")).to_have_count(2)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


def test_errors_say_what_to_do(page):
    page.goto("/")
    choose(page, "@t/stories")
    page.get_by_label("Temperature").fill("9")
    say(page, "Once")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("temperature")
    expect(error).to_contain_text("HTTP 400")
    expect(error.get_by_role("link")).to_have_attribute("href", re.compile("errors.html#5006"))
    no_barriers(page, "error")
    # A field that is no JSON is told before anything is sent.
    page.get_by_label("Temperature").fill("")
    page.get_by_label("Functions (tools)").fill("[{")
    say(page, "Once")
    expect(page.get_by_role("alert").last).to_contain_text("is not JSON")
    # A server that has gone.
    page.get_by_label("Functions (tools)").fill("")
    page.context.set_offline(True)
    say(page, "Once")
    expect(page.get_by_role("alert").last).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.wrong.clear()


@needs("@verge/efficientnet-lite0")
def test_pictures(page):
    page.goto("/#pictures")
    choose(page, "@verge/efficientnet-lite0")
    page.get_by_label("Choose a picture").set_input_files(DATA / "images" / "444.jpg")
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(6)
    no_barriers(page, "pictures")
    # What is no picture.
    page.get_by_label("Choose a picture").set_input_files(DATA / "images" / "README.md")
    expect(page.get_by_role("alert")).to_contain_text("HTTP 400")


def test_boxes_stand_where_the_model_found_something(page):
    """No detector is small enough to be fetched here: the answer is the published shape."""
    entry = {"name": "@t/boxes", "task": {"name": "Object Detection"}, "description": "", "properties": []}
    page.route("**/models/search*", lambda route: route.fulfill(json={"result": [entry]}))
    page.route("**/ai/run/@t/boxes", lambda route: route.fulfill(
        json={"result": [{"label": "cat", "score": 0.9, "box": {"xmin": 4, "ymin": 8, "xmax": 20, "ymax": 24}}]}))
    page.goto("/#pictures")
    page.get_by_label("Choose a picture").set_input_files(DATA / "images" / "444.jpg")
    image = page.locator(".picture img").bounding_box()
    box = page.locator(".boxes rect").bounding_box()
    scale = image["width"] / page.locator(".picture img").evaluate("image => image.naturalWidth")
    assert abs(box["x"] - image["x"] - 4 * scale) < 2 * scale and abs(box["width"] - 16 * scale) < 2 * scale


@needs("@cf/openai/whisper-tiny-en")
def test_speech(page):
    page.goto("/#speech")
    choose(page, "@cf/openai/whisper-tiny-en")
    page.get_by_label("Choose a clip").set_input_files(DATA / "audio" / "jfk.ogg")
    words = page.locator(".word")
    expect(words.first).to_be_visible()
    assert "country" in " ".join(words.all_inner_texts())
    # A word lights up where the clip is.
    audio = page.get_by_label("The clip")
    start = float(words.nth(3).get_attribute("title").split()[0])
    audio.evaluate("(audio, at) => { audio.currentTime = at }", start + 0.02)
    expect(words.nth(3)).to_have_class(re.compile("lit"))
    no_barriers(page, "speech")
    # The microphone (Chromium's own, which beeps).
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".facts")).to_be_visible()


def test_embeddings(page):
    page.goto("/#texts")
    choose(page, "@t/embedder")
    page.get_by_label("Texts, one a line").fill("one\ntwo\nthree\none")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".heat")).to_have_count(16)
    assert page.locator(".heat").nth(3).inner_text() == "1.00", "equal texts have equal vectors"
    expect(page.locator(".plane circle")).to_have_count(4)
    no_barriers(page, "embeddings")


def test_dashboard_by_keyboard(page, server):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("link", name="Dashboard").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(page.get_by_role("region", name="Nodes, as this gateway measures them")).to_contain_text("local")
    expect(page.locator(".tile").filter(has_text="failed")).to_contain_text("Requests")
    expect(page.locator("canvas")).to_have_count(3)
    no_barriers(page, "dashboard")


def test_a_node_that_dies_on_the_map(page):
    """Two states of a cluster as /verge/v1/nodes tells them: the cluster itself is tested in tests/net."""
    state = {"now": "up"}
    def nodes():
        common = {"address": "", "heard_ms": 0, "memory_free_bytes": 1 << 30, "software": "", "under_way": 0, "models": []}
        return [{"name": "fra1", "region": "eu", "state": "up", "rtt_ms": 1.5, "latitude": 50.1, "longitude": 8.7, **common},
                {"name": "sin1", "region": "ap", "state": state["now"], "rtt_ms": 160.2, "latitude": 1.3, "longitude": 103.8, **common}]
    page.route("**/verge/v1/nodes", lambda route: route.fulfill(json=nodes()))
    page.goto("/#dashboard")
    expect(page.locator(".map")).to_have_attribute("aria-label", "fra1, up, 1.5 ms; sin1, up, 160.2 ms")
    state["now"] = "dead"
    expect(page.locator(".map .dead")).to_contain_text("sin1, dead")


def test_tokens(browser):
    """With tokens the page asks for one, and shows an account what is its own."""
    with Server(models=MODELS_HERE) as server:
        def token(*more):
            out = subprocess.run([VERGE, "token", "create", "--data", server.folder.name + "/data", *more], capture_output=True, text=True, check=True).stdout
            return re.search(r"vrg_[\w-]+", out)[0]
        admin, mine, other = token("--scope", "admin"), token("--scope", "run", "--account", "mine"), token("--scope", "run", "--account", "other")
        for account, secret in [("mine", mine), ("other", other)]:
            status, _, text = server.post("/v1/embeddings", {"model": "@t/embedder", "input": "a"}, {"authorization": "Bearer " + secret})
            assert status == 200, text
        for page in new_page(browser, server):
            page.goto("/#dashboard")
            page.get_by_label("Token", exact=True).fill("vrg_wrong")
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
            no_barriers(page, "token")
            page.get_by_label("Token", exact=True).fill(mine)
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_role("region", name="Used today, your account")).to_contain_text("@t/embedder")
            expect(page.get_by_role("alert")).to_contain_text("this needs a token of scope admin")
            assert "other" not in page.locator("main").inner_text()
            page.get_by_role("button", name="Token").click()
            page.get_by_label("Token", exact=True).fill(admin)
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_role("region", name="Used today, all accounts")).to_contain_text("other")


def test_phone_and_dark(browser, server):
    for page in new_page(browser, server, viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True, is_mobile=True):
        for name in ["chat", "pictures", "speech", "texts", "dashboard", "api"]:
            page.goto("/#" + name)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
            no_barriers(page, name)
