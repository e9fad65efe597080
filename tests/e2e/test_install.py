"""`cmake --install`, and build folders that were made elsewhere."""

import json, os, pathlib, shutil, subprocess
import pytest
from harness import ROOT, VERGE, Server

BUILD = pathlib.Path(VERGE).parent


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """An installed tree that stands elsewhere now, with nothing left where it was installed to."""
    there, here = tmp_path_factory.mktemp("a") / "prefix", tmp_path_factory.mktemp("b") / "tree"
    subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", there], check=True, capture_output=True, text=True
    )
    shutil.move(there, here)
    return here


def test_an_installed_tree_can_be_moved(moved, tmp_path):
    verge = str(moved / "bin" / "verge")
    env = {k: v for k, v in os.environ.items() if k != "VERGE_WORKERS"}
    listed = subprocess.run(
        [verge, "models", "--installed", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**env, "VERGE_MODELS": str(tmp_path)},
    )
    assert [m["path"] for m in json.loads(listed.stdout)] == [
        str(moved / "share/verge/models/stories260K/stories260K-f32.gguf")
    ]
    with Server(program=[verge], env={"VERGE_MODELS": str(tmp_path)}) as server:
        assert server.run("@verge/stories-260k", {"prompt": "Once upon a time", "max_tokens": 4})[
            "response"
        ]
        status, _, text = server.post(
            "/to-everything/markdown/transformer",
            {"files": [{"name": "a.html", "data": "PGgxPlQ8L2gxPg=="}]},
        )
        assert status == 200 and json.loads(text)["result"][0]["data"] == "# T\n"
    # workers/ is there too: what is complained of is the project.
    dev = subprocess.run(
        [verge, "dev", str(tmp_path), "--server", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        env=env,
    )
    assert dev.returncode != 0 and "workers/" not in dev.stderr, dev.stderr


def test_an_installed_tree_holds_what_it_must(moved):
    for name in ("LICENSE", "NOTICE", "SECURITY.md"):
        assert (moved / "share/doc/verge" / name).stat().st_size > 500, name
    found = {p.relative_to(moved).as_posix() for p in moved.rglob("*")}
    assert not [
        p
        for p in found
        if "node_modules" in p or "__pycache__" in p or p.endswith((".key", ".seed"))
    ]
    assert os.access(moved / "share/verge/workers/install", os.X_OK)


def build_folder(tmp_path, made_for):
    """What scripts/install.sh says, and leaves, of a build folder made for `made_for`."""
    folder = tmp_path / "build" / "release"
    folder.mkdir(parents=True)
    (folder / "CMakeCache.txt").write_text(
        f"CMAKE_BUILD_TYPE:STRING=RelWithDebInfo\nCMAKE_HOME_DIRECTORY:INTERNAL={made_for}\n"
    )
    done = subprocess.run(
        [
            "bash",
            "-euc",
            f". {ROOT}/scripts/install.sh; drop_foreign build/release; drop_foreign build/none",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, folder.exists()


def test_a_build_folder_of_another_place_is_noticed(tmp_path):
    said, left = build_folder(tmp_path, tmp_path / "elsewhere")
    assert f"was made for {tmp_path}/elsewhere" in said and not left


def test_a_build_folder_of_this_place_is_kept(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)  # by another name
    said, left = build_folder(tmp_path, tmp_path / "link")
    assert said == "" and left
