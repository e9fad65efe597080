"""examples/three-regions, without its screen and with it."""
import os, pty, select, subprocess, sys
import pytest
from brokers import NATS_SERVER
from network import ROOT, unavailable

SCRIPT = ROOT / "examples" / "three-regions" / "three_regions.py"
pytestmark = pytest.mark.skipif(not NATS_SERVER, reason="nats-server is not installed")


def options(kind):
    if kind == "distances" and unavailable():
        pytest.skip(unavailable())
    return ["--loopback"] if kind == "loopback" else []


def test_once(kind):
    done = subprocess.run([sys.executable, SCRIPT, "--once", *options(kind)], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "the same, byte for byte" in done.stdout and "is back" in done.stdout
    for region in ("us", "eu", "asia"):
        assert f"asked in {region}: answered by {region}" in done.stdout


def test_the_map_survives_a_killed_node():
    """On a terminal: the map comes, a key kills a node, answers go on, q ends."""
    terminal, inner = pty.openpty()
    process = subprocess.Popen([sys.executable, SCRIPT, "--loopback"], stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    shown = b""

    def until(found):
        nonlocal shown
        while not found(shown.decode(errors="replace").rsplit("\033[2J", 1)[-1]):
            assert select.select([terminal], [], [], 120)[0], shown[-2000:]
            shown += os.read(terminal, 65536)

    def answers(page):
        return int(page.split(" answers,")[0].split()[-1]) if " answers," in page else 0
    until(lambda page: answers(page) >= 3)
    os.write(terminal, b"2")
    until(lambda page: "eu1 killed" in page)
    seen = answers(shown.decode(errors="replace").rsplit("\033[2J", 1)[-1])
    until(lambda page: answers(page) >= seen + 5 and "0 wrong or failed" in page and " end" in page)
    os.write(terminal, b"q")
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    assert process.wait() == 0
    os.close(terminal)
