"""`verge doctor`: what it reports of a machine, and what it says to mend."""

import json
import os
import socket
import subprocess

VERGE = os.environ["VERGE_BINARY"]


def findings(**env):
    done = subprocess.run([VERGE, "doctor", "--json"], capture_output=True, text=True, env={**os.environ, **env})
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)}


def test_every_finding_that_is_not_ok_says_what_to_do():
    code, found = findings(PATH="/nonexistent")
    assert {"isa", "cores", "memory", "devices", "models", "data", "serve port", "dev port", "registry", "node", "npm", "pip"} <= set(found)
    assert found["isa"]["found"] in ("base", "avx2", "avx512")
    assert all(bool(one["advice"]) == (one["state"] != "ok") for one in found.values())
    # Without Node, npm and pip Verge works: it names what does not.
    assert {found[name]["state"] for name in ("node", "npm", "pip")} == {"hint"}
    assert code == 0


def test_folder_that_cannot_hold_models_is_a_fault(tmp_path):
    (tmp_path / "file").write_text("")
    code, found = findings(VERGE_MODELS=str(tmp_path / "file" / "models"))
    assert code == 1 and found["models"]["state"] == "fault"
    assert str(tmp_path / "file") in found["models"]["advice"] and "VERGE_MODELS" in found["models"]["advice"]
    code, found = findings(VERGE_MODELS=str(tmp_path / "not" / "yet" / "there"))
    assert code == 0 and found["models"]["state"] == "ok"


def test_port_of_another_program_is_told():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8787))
        except OSError:
            pass  # somebody else's, which will do
        else:
            taken.listen()
        _, found = findings()
    assert found["dev port"]["state"] == "hint" and "--port" in found["dev port"]["advice"]
