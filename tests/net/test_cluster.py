"""Three regions: who answers, and that nobody notices when it dies. On namespaces with distances where root may make them, on
loopback always. The model is SmolLM2 where it has been pulled, else the small one of this repository."""
import os, re, signal, threading, time
import pytest
from cluster import REGIONS, Load, eventually, undisturbed

TOKENS = 60
SEEDS = range(1, 9)


@pytest.fixture(scope="module")
def want(world):
    return undisturbed(world, "eu-gw", SEEDS, TOKENS)


@pytest.fixture(autouse=True)
def whole(world):
    """Every test begins with all nodes up, and none ejected."""
    yield
    if world.net.distances:
        world.net.heal()
    for name, process in world.processes.items():
        if process.poll() is not None:
            world.again(name)
        else:
            world.signal(name, signal.SIGCONT)
    for region in REGIONS:
        world.wait_for(f"{region}-gw", [n for n in world.processes if re.fullmatch(r"[a-z]+\d", n)])
        eventually(lambda: re.search(r"^verge_cluster_bus_connected 1", world.get(f"{region}-gw", "/metrics")[1], re.M))


def resumes(cluster, gateway):
    """Answers of this gateway that went on at another attempt after their first token."""
    text = cluster.get(gateway, "/metrics")[1]
    return float(re.search(r"^verge_router_resumes_total (\S+)", text, re.M)[1])


def check(answers, want, seeds):
    bad = [(s, a) for s, a in zip(seeds, answers) if not a.whole or a.text != want[s]]
    assert not bad, bad[:3]


@pytest.mark.parametrize("region", REGIONS)
def test_the_nearest_region_serves(world, want, region):
    answers = world.ask_many([{"gateway": f"{region}-gw", "seed": s, "tokens": TOKENS} for s in SEEDS], 1)
    check(answers, want, SEEDS)
    # Nearness is time to the first token: on a busy machine a node may seem slow for a moment, and another continent quicker.
    assert sum(a.node.rstrip("12") == region for a in answers) >= len(answers) - 2, [a.node for a in answers]


def test_nodes_are_listed_with_their_distance(world):
    for region in REGIONS:
        rows = world.nodes(f"{region}-gw")
        assert {n: r["region"] for n, r in rows.items()} == {f"{r}{i}": r for r in REGIONS for i in (1, 2)}
        assert all(r["state"] == "up" for r in rows.values())
        if world.net.distances:
            eventually(lambda: all(world.net.rtt(f"{region}-gw", n) * 0.9 < r["rtt_ms"] < world.net.rtt(f"{region}-gw", n) * 1.3 + 25 for n, r in world.nodes(f"{region}-gw").items()))


def kill(world, node):
    world.kill(node)


def stop(world, node):
    world.signal(node, signal.SIGSTOP)


def cut(world, node):
    world.net.isolate(node)


def cut_answers_only(world, node):
    """One way: the node hears everything and nobody hears the node."""
    world.net.cut(node, [h for h in world.net.hosts if h != node], both=False)


def cut_requests_only(world, node):
    world.net.cut([h for h in world.net.hosts if h != node], node, both=False)


def cut_from_gateway_only(world, node):
    """The broker and everybody else hear it; this gateway does not."""
    world.net.cut(node, "eu-gw")


def kill_its_workers(world, node):
    for pid in world._pids(node)[1:]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("what", [kill, stop, cut, cut_answers_only, cut_requests_only, cut_from_gateway_only, kill_its_workers], ids=lambda f: f.__name__)
def test_the_serving_node_is_lost_in_mid_stream(world, want, what):
    if what.__name__.startswith("cut") and not world.net.distances:
        pytest.skip("loopback has no wires to cut")
    before, hit = resumes(world, "eu-gw"), []

    def lose(count, answer):
        if count == 10 and not hit:
            hit.append(answer.node)
            what(world, answer.node)
    jobs = [{"gateway": "eu-gw", "seed": s, "tokens": TOKENS, "on_event": lose} for s in SEEDS]
    began = time.monotonic()
    answers = world.ask_many(jobs, len(jobs))
    print(f"\n{what.__name__} {hit}: {resumes(world, 'eu-gw') - before:.0f} of {len(jobs)} answers went on elsewhere, all ended in {time.monotonic() - began:.1f} s")
    assert hit
    check(answers, want, SEEDS)
    if what is not kill_its_workers:  # those the node itself takes care of
        assert resumes(world, "eu-gw") > before
    # While it is away requests are served, by others.
    answers = world.ask_many([{"gateway": "eu-gw", "seed": s, "tokens": TOKENS} for s in SEEDS], 4)
    check(answers, want, SEEDS)
    if what is not kill_its_workers:
        assert hit[0] not in {a.node for a in answers}


def test_a_models_process_hangs_in_mid_stream(world, want):
    """Its node is heard all the time: it says that the model does not get on, and others are chosen before it is started anew."""
    hit, answers = [], []

    def hang(count, answer):
        if count == 10 and not hit:
            hit.append(answer.node)
            for pid in world._pids(answer.node)[1:]:
                os.kill(pid, signal.SIGSTOP)
    jobs = [{"gateway": "eu-gw", "seed": s, "tokens": TOKENS, "on_event": hang} for s in SEEDS]
    asking = threading.Thread(target=lambda: answers.extend(world.ask_many(jobs, len(jobs))))
    asking.start()
    eventually(lambda: hit and any(m["state"] == "suspect" for m in world.nodes("eu-gw")[hit[0]]["models"]))
    new = world.ask_many([{"gateway": "eu-gw", "seed": s, "tokens": 2} for s in (1, 2)], 2)
    assert all(a.whole for a in new) and hit[0] not in {a.node for a in new}, new
    asking.join()
    check(answers, want, SEEDS)


def test_a_models_process_hangs_with_a_queue(world, want):
    """It stands still before it has begun anything of theirs: nobody fails while another node has room, whole answers or streams."""
    home = world.ask("eu-gw", 1, 2).node
    for pid in world._pids(home)[1:]:
        os.kill(pid, signal.SIGSTOP)
    seeds = [s for s in SEEDS for _ in (1, 2)]
    answers = world.ask_many([{"gateway": "eu-gw", "seed": s, "tokens": TOKENS, "stream": i % 2 == 0} for i, s in enumerate(seeds)], len(seeds))
    check(answers, want, seeds)
    world.terminate(home)  # whose process was killed, and is wanted by nobody: started anew it loads its model


def too_late(answer):
    return answer.status == 408 and answer.code == 3046


def test_past_its_deadline_a_request_fails_in_the_nodes_queue(world):
    """All models stand still: what waits in their processes is given up when its time is over, by the published error."""
    for node in [n for n in world.processes if re.fullmatch(r"[a-z]+\d", n)]:
        for pid in world._pids(node)[1:]:
            os.kill(pid, signal.SIGSTOP)
    jobs = [{"gateway": "eu-gw", "seed": s, "tokens": 2, "stream": s % 2 == 0, "headers": {"cf-aig-request-timeout": "1500"}} for s in SEEDS]
    answers = world.ask_many(jobs, len(jobs))
    assert all(map(too_late, answers)), answers
    for node in [n for n in world.processes if re.fullmatch(r"[a-z]+\d", n)]:
        world.signal(node, signal.SIGCONT)


def test_past_its_deadline_a_request_fails_at_the_gateway(world):
    """All nodes stand still: nobody is left to be asked."""
    nodes = [n for n in world.processes if re.fullmatch(r"[a-z]+\d", n)]
    for node in nodes:
        world.signal(node, signal.SIGSTOP)
    jobs = [{"gateway": "eu-gw", "seed": s, "tokens": 2, "stream": s % 2 == 0, "headers": {"cf-aig-request-timeout": "1500"}} for s in SEEDS]
    answers = world.ask_many(jobs, len(jobs))
    assert all(map(too_late, answers)), answers
    for node in nodes:
        world.signal(node, signal.SIGCONT)


def test_a_sessions_second_turn_is_served_where_its_first_was(world):
    """Short prompts: far below what makes a prefix worth remembering by itself."""
    at_home = []
    for session in range(8):
        headers = {"x-session-affinity": f"session-{session}"}
        prompt = f"Story {session}. Once upon a time there was a cat who lived in a small house by the sea, and each morning it went out to look for fish and friends."
        ask = {"raw": True, "max_tokens": 40, "temperature": 0.0}
        first = world.ask("eu-gw", inputs={**ask, "prompt": prompt}, headers=headers)
        second = world.ask("eu-gw", inputs={**ask, "prompt": prompt + first.text + " The next day"}, headers=headers)
        assert first.whole and second.whole, (first, second)
        at_home.append(second.node == first.node)
        assert second.cached > 0 or not at_home[-1], (first, second)
    # On a busy machine home may seem slow for a moment, and another node quicker.
    assert sum(at_home) >= 6, at_home


def test_a_whole_region_is_lost(world, want):
    hit = []

    def lose(count, answer):
        if count == 10 and not hit:
            hit.append(1)
            world.kill("eu1"), world.kill("eu2")
    answers = world.ask_many([{"gateway": "eu-gw", "seed": s, "tokens": TOKENS, "on_event": lose} for s in SEEDS], len(SEEDS))
    check(answers, want, SEEDS)
    after = world.ask("eu-gw", 1, TOKENS)
    assert after.whole and after.text == want[1]
    # New York is nearer to Frankfurt than Singapore is.
    assert after.node.rstrip("12") == ("us" if world.net.distances else after.node.rstrip("12"))


def test_packets_are_lost(world, want):
    if not world.net.distances:
        pytest.skip("loopback loses no packets")
    world.net.lossy(0.05)
    before = world.net.stats()["lost"]
    with Load(world, [f"{r}-gw" for r in REGIONS], want, clients=2, tokens=TOKENS) as load:
        load.more(40)
    lost = world.net.stats()["lost"] - before
    print(f"\n{lost} packets lost, {len(load.answers)} answers")
    assert lost > 20 and not load.wrong(), load.wrong()[:3]


def test_a_region_is_cut_off(world, want):
    """Its gateway serves with its own nodes; the others go on without it."""
    if not world.net.distances:
        pytest.skip("loopback has no wires to cut")
    with Load(world, [f"{r}-gw" for r in REGIONS], want, clients=1, tokens=TOKENS) as load:
        load.more(6)
        world.net.isolate([h for h, r in world.net.hosts.items() if r == "asia"])
        eventually(lambda: all(world.nodes("us-gw").get(n, {}).get("state") not in ("up", "draining") for n in ("asia1", "asia2")))
        load.more(12)
        world.net.heal()
        world.wait_for("us-gw", ["asia1", "asia2"])
        load.more(6)
    assert not load.wrong(), load.wrong()[:3]
    assert {a.node.rstrip("12") for g, _, a in load.answers if g == "asia-gw"} == {"asia"}


def test_sigterm_of_a_node_under_load(world, want):
    with Load(world, ["eu-gw"], want, clients=4, tokens=TOKENS) as load:
        load.more(8)
        for name in ("eu1", "eu2"):
            status, seconds = world.terminate(name)
            print(f"\n{name} ended with {status} in {seconds:.1f} s")
            assert status == 0 and seconds < 35
        load.more(8)
    assert not load.wrong(), load.wrong()[:3]


def test_rolling_restart_of_all_nodes_under_load(world, want):
    nodes = [n for n in world.processes if re.fullmatch(r"[a-z]+\d", n)]
    with Load(world, [f"{r}-gw" for r in REGIONS], want, clients=2, tokens=TOKENS) as load:
        for name in nodes:
            load.more(4)
            status, _ = world.terminate(name)
            assert status == 0, world.log(name)[-2000:]
            world.again(name)
            for region in REGIONS:
                world.wait_for(f"{region}-gw", [name])
    print(f"\n{len(nodes)} nodes restarted, {len(load.answers)} answers, {len(load.wrong())} wrong")
    assert not load.wrong(), load.wrong()[:3]


def test_sigterm_of_a_gateway_lets_its_streams_end(world, want):
    hit = []

    def term(count, answer):
        if count == 10 and not hit:
            hit.append(1)
            world.processes["us-gw"].send_signal(signal.SIGTERM)
    answers = world.ask_many([{"gateway": "us-gw", "seed": s, "tokens": TOKENS, "on_event": term} for s in (1, 2, 3)], 3)
    check(answers, want, (1, 2, 3))
    assert world.processes["us-gw"].wait() == 0


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_brokers_are_lost(world, want, how):
    """First the one that leads JetStream, then all of them."""
    brokers = [n for n in world.processes if n.endswith("-nats")]
    with Load(world, [f"{r}-gw" for r in REGIONS], want, clients=1, tokens=TOKENS) as load:
        load.more(3)
        for name in sorted(brokers, key=lambda n: "Self is new JetStream cluster metadata leader" not in world.log(n)):
            world.signal(name, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            load.more(6)
        # Long enough for what waits for heartbeats to miss them.
        time.sleep(8)
        load.more(6)
        # A gateway knows the cluster of its last run.
        world.kill("eu-gw")
        world.again("eu-gw")
        world.wait_for("eu-gw", ["eu1", "us1"])
        assert world.ask("eu-gw", 1, TOKENS).text == want[1]
    wrong = [(g, s, a) for g, s, a in load.wrong() if g != "eu-gw"]
    assert not wrong, wrong[:3]
