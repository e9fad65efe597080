"""docs/backup.md: its commands are run as they stand there, on a server under requests."""

import json, os, re, subprocess, threading, urllib.request
import pytest
from harness import ACCOUNT, ROOT, STORIES, VERGE, Server
from test_hosting import kv_project, wait_ready  # noqa: F401

MODEL = "@t/stories"
MAP = [f"{MODEL}={STORIES}/stories260K-f32.gguf"]


def documented(heading):
    text = (ROOT / "docs" / "backup.md").read_text()
    return re.search(rf"^## {heading}$.*?```sh\n(.*?)```", text, re.M | re.S)[1]


def shell(commands, folder):
    return subprocess.run(
        ["bash", "-euc", commands.replace("verge ", f"{VERGE} ")],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def token(data, *words):
    done = subprocess.run(
        [VERGE, "token", *words, "--data", data, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def requests(data):
    done = subprocess.run(
        [VERGE, "usage", "--data", data, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["total"]["requests"]


def test_a_running_server_is_backed_up_and_restored(tmp_path, kv_project, monkeypatch):
    data = str(tmp_path / "data")
    secret, admin = (
        token(data, "create", "--name", "kept")["token"],
        token(data, "create", "--scope", "admin")["token"],
    )
    headers, keeper = {"authorization": f"Bearer {secret}"}, {"host": "keeper.example"}
    ask = lambda server, more=headers: server.post(
        f"{ACCOUNT}/run/{MODEL}", {"prompt": "Once", "raw": True, "max_tokens": 4}, more
    )[0]
    put = lambda server, text: server._open(
        urllib.request.Request(server.base + "/", text, keeper, method="PUT")
    )
    env = {"VERGE_TOKEN": admin}
    with Server("--worker", str(kv_project), models=MAP, data=data, env=env) as server:
        server.get = lambda path, more=None, get=server.get: get(
            path, {"authorization": f"Bearer {admin}", **(more or {})}
        )
        wait_ready(server, "keeper")
        assert put(server, b"precious")[0] == 200
        for _ in range(5):
            assert ask(server) == 200
        # More come while it is copied.
        ended, answered = threading.Event(), []

        def go_on():
            while not ended.is_set():
                answered.append(ask(server))

        thread = threading.Thread(target=go_on)
        thread.start()
        done = shell(documented("Back up"), tmp_path)
        ended.set()
        thread.join()
        assert done.returncode == 0, done.stderr
        assert set(answered) <= {200}
        again = shell(documented("Back up"), tmp_path)
        assert again.returncode == 1 and "is there" in again.stderr  # nothing is overwritten
        # After the backup: another token, another value.
        later = token(data, "create", "--name", "later")["token"]
        put(server, b"other")
    before = requests(data)
    saved = requests(str(tmp_path / "backup-monday"))
    assert 5 <= saved <= before
    assert not [
        p
        for p in (tmp_path / "backup-monday").rglob("*")
        if p.name.endswith(("-wal", "-journal", ".part"))
    ]
    assert (tmp_path / "backup-monday").stat().st_mode & 0o77 == 0

    put_back, serve = documented("Restore").rsplit("verge serve", 1)
    assert serve.strip() == "--data data"
    done = shell(put_back, tmp_path)
    assert done.returncode == 0, done.stderr
    with Server("--worker", str(kv_project), models=MAP, data=data, env=env) as server:
        server.get = lambda path, more=None, get=server.get: get(
            path, {"authorization": f"Bearer {admin}", **(more or {})}
        )
        assert ask(server) == 200
        assert ask(server, {}) == 401 and ask(server, {"authorization": f"Bearer {later}"}) == 401
        wait_ready(server, "keeper")
        assert json.loads(server.get("/", keeper)[2])["kept"] == "precious"
    assert requests(data) == saved + 1


@pytest.mark.parametrize(
    "words,why",
    [
        (["data/inside"], "inside"),
        (["data"], "is there"),
        (["x", "--data", "none"], "no data folder"),
        (["/proc/x"], "/proc/x"),
    ],
)
def test_backups_that_cannot_be(tmp_path, words, why):
    token(str(tmp_path / "data"), "create")
    done = subprocess.run(
        [VERGE, "backup", *words, *([] if "--data" in words else ["--data", "data"])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and why in done.stderr, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_a_damaged_database_is_no_backup(tmp_path):
    data = tmp_path / "data"
    token(str(data), "create")
    file = data / "accounts.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    done = subprocess.run(
        [VERGE, "backup", "b", "--data", "data"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "accounts.db" in done.stderr
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.part").exists()
