"""`verge models`, `pull` and `rm`: what a model costs before it comes, and how it goes."""

import json, os, shutil, signal, subprocess
import pytest
from harness import ACCOUNT, STORIES, VERGE, Server, eventually, free_port

ID = "@verge/smollm2-135m-instruct"


def verge(folder, *words):
    env = {
        **os.environ,
        "VERGE_MODELS": str(folder),
        "VERGE_HUB": f"http://127.0.0.1:{free_port()}",
    }
    return subprocess.run([VERGE, *words], capture_output=True, text=True, env=env)


@pytest.fixture
def folder(tmp_path):
    """With one model, as `verge pull` leaves it."""
    model = tmp_path / "models" / ID
    model.mkdir(parents=True)
    shutil.copy(STORIES / "stories260K-f32.gguf", model)
    (model / "verge-model.json").write_text("{}")
    return tmp_path / "models"


def bytes_of(folder):
    return sum(f.stat().st_size for f in (folder / ID).iterdir())


def test_removed_models_are_gone_and_their_bytes_told(folder):
    size = bytes_of(folder)
    done = verge(folder, "rm", ID, "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == {"model": ID, "bytes": size}
    assert not (folder / "@verge").exists()
    again = verge(folder, "rm", ID)
    assert again.returncode == 2 and "nothing to remove" in again.stderr
    state = json.loads(verge(folder, "models", ID, "--json").stdout)[0]
    assert (
        state["state"] == "available"
        and state["bytes"] == 98362432
        and state["licence"] == "apache-2.0"
    )


def test_an_unfinished_pull_can_be_removed(folder):
    (folder / ID / "verge-model.json").unlink()
    assert json.loads(verge(folder, "models", ID, "--json").stdout)[0]["state"] == "partial"
    assert verge(folder, "rm", ID).returncode == 0 and not (folder / ID).exists()


@pytest.mark.parametrize(
    "word",
    [
        "hub:../../x",
        "hub:a/../../x",
        "hub:/etc",
        "hub:",
        "../models",
        "@cf/none/none",
        "@verge/stories-260k",
        "@cf/meta/llama-3.2-1b-instruct",
    ],
)
def test_nothing_else_is_removed(folder, word):
    before = sorted(folder.rglob("*"))
    assert verge(folder, "rm", word).returncode != 0
    assert (folder / ID / "verge-model.json").exists() and [
        p for p in sorted(folder.rglob("*")) if ".locks" not in str(p)
    ] == before


def test_a_loaded_model_stays_unless_forced(folder):
    ask = {"prompt": "Once upon a time", "raw": True, "max_tokens": 4}
    with Server(env={"VERGE_MODELS": str(folder)}) as server:
        assert server.run(ID, ask)
        pid = server.worker(ID)["pid"]
        refused = verge(folder, "rm", ID)
        assert (
            refused.returncode == 1 and str(pid) in refused.stderr and "--force" in refused.stderr
        )
        (folder.parent / "link").symlink_to(folder)  # by another name of the folder too
        assert verge(folder.parent / "link", "rm", ID).returncode == 1
        assert (folder / ID / "verge-model.json").exists()
        assert verge(folder, "rm", ID, "--force").returncode == 0
        status, _, text = server.post(f"{ACCOUNT}/run/{ID}", ask)
        assert status >= 400 and "verge pull" in text


def test_models_that_come_and_change_are_noticed(tmp_path, folder):
    ask = {"prompt": "Once upon a time", "raw": True, "max_tokens": 4}
    later = tmp_path / "later"
    shutil.move(folder / "@verge", later)
    with Server(env={"VERGE_MODELS": str(folder)}) as server:
        status, _, text = server.post(f"{ACCOUNT}/run/{ID}", ask)
        assert status >= 400 and "verge pull" in text
        shutil.move(later, folder / "@verge")
        assert server.run(ID, ask)  # as soon as it is there
        first = server.worker(ID)["pid"]
        model = folder / ID / "stories260K-f32.gguf"
        shutil.copy(model, tmp_path / "another")
        os.replace(tmp_path / "another", model)
        # It answers on, and says that its next load takes others.
        eventually(lambda: server.worker(ID).get("files_changed"))
        assert server.run(ID, ask) and server.worker(ID)["pid"] == first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: server.worker(ID)["state"] != "ready")
        assert server.run(ID, ask) and "files_changed" not in server.worker(ID)


# Promises: N6.
def test_what_a_model_takes_is_told_before_it_is_loaded(tmp_path, folder):
    model = folder / ID / "stories260K-f32.gguf"
    told = json.loads(verge(folder, "inspect", str(model)).stdout)
    assert told["task"] == "text-generation" and told["context_tokens"] == 512
    need = told["memory"]["host"]
    assert need["weights"] > 1_000_000 and need["kv_per_token"] > 0 and need["scratch"] > 0
    (tmp_path / "no-model").write_text("GGUF" + "x" * 100)
    told = json.loads(verge(folder, "inspect", str(tmp_path / "no-model")).stdout)
    assert told["error"]["code"] == "load_failed" and "no-model" in told["error"]["message"]

    ask = {"prompt": "Once upon a time", "raw": True, "max_tokens": 4}
    data = tmp_path / "data"
    inodes = set()
    for _ in range(2):  # a start does not ask again
        with Server(env={"VERGE_MODELS": str(folder)}, data=str(data)) as server:
            assert server.run(ID, ask)
            kept = json.loads((data / "models.json").read_text())
            assert [m["memory"]["host"] for m in kept["models"].values()] == [need]
            inodes.add((data / "models.json").stat().st_ino)
    assert len(inodes) == 1

    with Server("--memory", "64", env={"VERGE_MODELS": str(folder)}) as server:
        status, _, text = server.post(f"{ACCOUNT}/run/{ID}", ask)
        message = json.loads(text)["errors"][0]["message"]
        assert status >= 400, text
        for figure in ("needs", "of weights", "for a step's work", "budget of 64 MiB", "--memory"):
            assert figure in message, message
        assert all("pid" not in m for m in server.status()["models"])


def test_size_and_licence_are_told_before_a_pull(folder):
    listed = {m["id"]: m for m in json.loads(verge(folder, "models", "--json").stdout)}
    for model in listed.values():
        if model["state"] == "no source":  # nobody has its weights: a stand-in answers
            assert not model["sources"]
            continue
        assert model["bytes"] or model["bytes_about"], model["id"]
        assert model["licence"]
    assert listed["@cf/meta/llama-3.2-1b-instruct"]["bytes_about"] == 2 * 1235814400
    line = next(
        l
        for l in verge(folder, "models", "llama-3.2-1b").stdout.splitlines()
        if l.startswith("@cf")
    )
    assert "~2.47 GB" in line and "llama3.2" in line
    # No hub can be reached here: what is told comes before.
    pulled = verge(folder, "pull", "@cf/meta/llama-3.2-1b-instruct")
    first = pulled.stderr.splitlines()[0]
    assert (
        pulled.returncode == 1
        and "about 2.47 GB" in first
        and "licence: llama3.2 (https://" in first
    )
    first = json.loads(
        verge(folder, "pull", "--json", "@cf/meta/llama-3.2-1b-instruct").stdout.splitlines()[0]
    )
    assert (
        first["event"] == "model"
        and first["licence"] == "llama3.2"
        and first["bytes"] == 2 * 1235814400
        and not first["exact"]
    )
