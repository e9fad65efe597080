"""The npm packages `openai` and `cloudflare`."""
import os, pathlib, shutil, subprocess
import pytest


@pytest.mark.parametrize("script", ["openai.mjs", "cloudflare.mjs"])
def test_client(stories, script):
    # ES modules are resolved from the script's own folder: it is run from beside node_modules.
    here = pathlib.Path(__file__).parent / "node" / script
    there = pathlib.Path(os.environ["E2E_NODE_MODULES"]).parent / script
    shutil.copy(here, there)
    done = subprocess.run(["node", str(there), stories.base], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("ok")
