"""Models that only some regions have: MiniLM and Whisper, real weights. The next region answers, and the one after it when that dies."""
import signal, threading, time
from concurrent.futures import ThreadPoolExecutor
import pytest
from cluster import Cluster, eventually, hosts
from conftest import network
from network import ROOT
from harness import MODELS

WHISPER, MINILM = "@cf/openai/whisper-tiny-en", "@verge/all-minilm-l6-v2"
CLIP = (ROOT / "tests" / "data" / "audio" / "jfk.ogg").read_bytes()
TEXTS = {"text": ["The keeper lit the lamp.", "A ship passed in the night."]}


@pytest.fixture(scope="module")
def partly(kind, tmp_path_factory):
    """eu1 and asia1 have Whisper and MiniLM on their disks, us1 has the text model only; and eu1 has a model of its own."""
    if not (MODELS / WHISPER).exists() or not (MODELS / MINILM).exists():
        pytest.skip(f"{WHISPER} or {MINILM} is not on this machine (verge pull)")
    with network(kind, hosts(nodes=1)) as net, Cluster(net, tmp_path_factory.mktemp("partly")) as cluster:
        cluster.start_brokers()
        for name in ("eu1", "asia1"):
            cluster.start_node(name, models=[], env={"VERGE_MODELS": str(MODELS)}, options=["--preload", WHISPER, "--preload", MINILM])
        cluster.start_node("us1")
        cluster.start_gateway("us")
        cluster.wait_for("us-gw", ["eu1", "asia1", "us1"])
        eventually(lambda: all(m["state"] == "ready" for n in ("eu1", "asia1") for m in cluster.nodes("us-gw")[n]["models"] if m["id"] in (WHISPER, MINILM)))
        # Both distances are known once each has been measured twice: the first time has the handshake in it.
        eventually(lambda: not net.distances or 0 < cluster.nodes("us-gw")["eu1"]["rtt_ms"] < cluster.nodes("us-gw")["asia1"]["rtt_ms"])
        yield cluster
        for name in ("eu1", "asia1", "us1", "us-gw"):
            assert "Not Permitted" not in cluster.log(name), "the rights of a member are what it needs"


def embed(cluster):
    return cluster.ask("us-gw", model=MINILM, inputs=TEXTS)


def transcribe(cluster):
    return cluster.ask("us-gw", model=WHISPER, inputs=CLIP, headers={"content-type": "audio/ogg"})


def test_the_next_region_has_it(partly):
    for ask in (embed, transcribe):
        answer = ask(partly)
        assert answer.whole, answer
        # Frankfurt is nearer to Virginia than Singapore is.
        assert answer.node == "eu1" if partly.net.distances else answer.node in ("eu1", "asia1")
    assert partly.ask("us-gw", 1, 5).node == "us1"


def test_nobody_has_it(partly):
    answer = partly.ask("us-gw", model="@cf/meta/llama-3.2-1b-instruct", inputs={"prompt": "x"})
    assert answer.status >= 400 and "verge pull" in answer.text, answer


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
@pytest.mark.parametrize("ask", [embed, transcribe])
def test_it_dies_with_requests_under_way(partly, ask, how):
    want = ask(partly)
    assert want.whole
    with ThreadPoolExecutor(6) as pool:
        lost = threading.Event()

        def keep_asking():  # until the node is lost, and three times more
            answers = []
            while not lost.is_set():
                answers.append(ask(partly))
            return answers + [ask(partly) for _ in range(3)]
        asked = [pool.submit(keep_asking) for _ in range(6)]
        time.sleep(0.15)
        partly.signal(want.node, how)
        lost.set()
        answers = [a for one in asked for a in one.result()]
    print(f"\n{want.node} lost: {len(answers)} answers by { {a.node for a in answers} }")
    try:
        assert all(a.whole and a.text == want.text for a in answers), [a for a in answers if not a.whole or a.text != want.text][:3]
        assert {a.node for a in answers} - {want.node}
    finally:
        if how == signal.SIGKILL:
            partly.processes[want.node].wait()
            partly.again(want.node)
        else:
            partly.signal(want.node, signal.SIGCONT)
        partly.wait_for("us-gw", [want.node])
        eventually(lambda: all(m["state"] == "ready" for m in partly.nodes("us-gw")[want.node]["models"] if m["id"] in (WHISPER, MINILM)))
