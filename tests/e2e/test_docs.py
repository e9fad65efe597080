"""The documentation: its links lead somewhere, its first pages' commands work, and every error has its place."""
import html.parser, json, os, re, shutil, subprocess
import pytest
from harness import DATA, ROOT, STORIES, VERGE, free_port

DOCS = ROOT / "docs"
# Blocks marked `sh` are run, in the order of the page; `text` are those that install, build, download or wait for keys.
RUN = ["install", "first-request", "first-worker", "own-model", "three-nodes"]


class Site(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if "style" in attributes or tag in ("style", "script"):
            raise AssertionError(f"the page's policy forbids {tag} {attributes}")
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]


@pytest.fixture(scope="module")
def pages(stories):
    names = {page: None for page in ["index.html"]}
    todo = ["index.html"]
    while todo:
        name = todo.pop()
        status, headers, text = stories.get("/verge/docs/" + name)
        assert status == 200, name
        if "text/html" not in headers["content-type"]:
            names[name] = Site("")
            continue
        names[name] = Site(text)
        for link in names[name].links:
            path = link.split("#")[0]
            if path and not re.match(r"[a-z]+:|/", path) and path not in names:
                names[path] = None
                todo.append(path)
    return names


def test_links(pages, stories):
    assert len([name for name in pages if name.endswith(".html")]) == sum(len(group["pages"]) for group in json.loads((DOCS / "order.json").read_text())["pages"])
    broken = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"https?:", link):
                continue  # of other people's pages: no test needs the network for them
            path, _, fragment = link.partition("#")
            if path.startswith("/"):
                if stories.get(path)[0] != 200:
                    broken.append((name, link))
            elif fragment and fragment not in pages[path or name].ids:
                broken.append((name, link))
    assert broken == []


def test_every_page_of_docs_is_in_the_order():
    listed = {page["file"] for group in json.loads((DOCS / "order.json").read_text())["pages"] for page in group["pages"]}
    assert {f"docs/{path.name}" for path in DOCS.glob("*.md")} <= listed


def test_every_error_code_has_its_heading(pages):
    source = (ROOT / "src/api/errors.cpp").read_text()
    codes = set(re.findall(r"\{Code::\w+, \d+, (\d+),", source)) | set(re.findall(r"^\| ([\d, ]+) \|", (DOCS / "api.md").read_text(), re.M))
    codes = {code.strip() for group in codes for code in group.split(",")}
    assert len(codes) > 12 and codes <= pages["errors.html"].ids, codes - pages["errors.html"].ids


@pytest.mark.parametrize("name", RUN)
def test_commands(name, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / f"{name}.md").read_text(), re.M | re.S)
    assert blocks
    script = "set -e\n" + "".join(blocks)
    if "nats-server" in script and not shutil.which("nats-server"):
        pytest.skip("nats-server is not installed")
    # Ports of the pages become free ones; the model may be one that is always there.
    for port in sorted(set(re.findall(r"127\.0\.0\.1:(\d{4})", script)) | set(re.findall(r"--port (\d+)", script))):
        script = script.replace(port, str(free_port()))
    listen = f" --listen 127.0.0.1:{re.search(r'127.0.0.1:([0-9]+)', script)[1]} --data data" if "serve --stand-ins &" in script else ""
    # No balancer waits for these servers to leave.
    script = script.replace("verge serve", f"verge serve --drain-delay 0{listen}")
    models = os.environ.get("VERGE_MODELS", "")
    if "@verge/smollm2" in script and not os.path.isdir(models + "/@verge/smollm2-135m-instruct"):
        pytest.skip("the model is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/verge").symlink_to(VERGE)
    # Servers of the script end with it.
    process = subprocess.Popen(["bash", "-c", "trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n" + script], cwd=tmp_path, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MODEL": f"{STORIES}/stories260K-f32.gguf", "XDG_DATA_HOME": str(tmp_path / "share")})
    out = process.communicate()[0]
    assert process.returncode == 0, out
