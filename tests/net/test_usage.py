"""The usage of three gateways' clients: each gateway's report is the sum of what all of them answered, also after gateways and brokers were lost."""
import collections, json, re, subprocess
from concurrent.futures import ThreadPoolExecutor
import pytest
from cluster import GATEWAY_PORT, MODEL, REGIONS, Cluster, eventually, hosts
from conftest import network
from harness import ACCOUNT, VERGE

GATEWAYS = [f"{r}-gw" for r in REGIONS]
Usage = collections.namedtuple("Usage", "requests prompt_tokens completion_tokens")


class Clients:
    """Ask, and add up what the answers say."""

    def __init__(self, cluster):
        self.cluster, self.seen = cluster, {g: Usage(0, 0, 0) for g in GATEWAYS}

    def ask(self, gateway, times=1, stream=False):
        for i in range(times):
            body = {"prompt": f"{'Once upon a time ' * (i % 3 + 1)}there was", "raw": True, "max_tokens": 5 + i, "seed": i + 1, "stream": stream}
            connection = self.cluster.connection(gateway)
            connection.request("POST", f"{ACCOUNT}/run/{MODEL}", json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            assert answer.status == 200, text
            if stream:
                assert text.endswith("data: [DONE]\n\n"), text[-200:]
                used = [e["usage"] for e in (json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")) if e.get("usage")][-1]
            else:
                used = json.loads(text)["result"]["usage"]
            self.seen[gateway] = Usage(*(a + b for a, b in zip(self.seen[gateway], (1, used["prompt_tokens"], used["completion_tokens"]))))

    def wait(self, gateways=GATEWAYS):
        """Until these gateways report what was seen at all of them."""
        want, got = self.seen, {}

        def check():
            got.update({g: report(self.cluster, g) for g in gateways})
            return all(one == {g: u for g, u in want.items() if u.requests} for one in got.values())
        try:
            eventually(check)
        except AssertionError:
            raise AssertionError(f"seen: {want}\nreported: {got}") from None


def report(cluster, gateway):
    """As `verge usage` shows it: {gateway: Usage}."""
    server = f"http://{cluster.front(cluster.hosts[gateway])}:{GATEWAY_PORT}"
    command = cluster.net.command(cluster.hosts[gateway], [VERGE, "usage", "--json", "--by", "gateway", "--from", "2020-01-01", "--server", server])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return {row["gateway"]: Usage(row["requests"], row["prompt_tokens"], row["completion_tokens"]) for row in json.loads(done.stdout)["rows"]} if done.returncode == 0 else None


@pytest.fixture(scope="module")
def three(kind, tmp_path_factory):
    with network(kind, hosts(nodes=1)) as net, Cluster(net, tmp_path_factory.mktemp("usage")) as cluster:
        yield Clients(cluster.start(nodes=1))


def test_every_gateway_reports_all(three):
    for gateway in GATEWAYS:
        three.ask(gateway, 3)
        three.ask(gateway, 2, stream=True)
    three.wait()
    for gateway in GATEWAYS:
        eventually(lambda: re.search(r"^verge_cluster_usage_gateways_behind 0$", three.cluster.get(gateway, "/metrics")[1], re.M))


def test_a_gateway_is_killed_and_comes_back(three):
    three.ask("eu-gw", 4)
    three.cluster.kill("eu-gw")  # it has answered, and perhaps told nobody
    three.ask("us-gw", 2)
    three.ask("asia-gw", 2)
    # What the others have of each other does not wait for it.
    eventually(lambda: all((report(three.cluster, g) or {}).get(of) == three.seen[of] for g in ("us-gw", "asia-gw") for of in ("us-gw", "asia-gw")))
    three.cluster.again("eu-gw")
    three.wait()


def test_a_gateway_is_killed_in_the_middle(three):
    """What it had under way when it died may be in the books though nobody saw the end of it: all books agree on that, and nothing that was seen is missing."""
    cluster, answers = three.cluster, []

    def client(number):
        while len(answers) < 1000 and cluster.processes["eu-gw"].poll() is None:
            answers.append(cluster.ask("eu-gw", number + 1, 4, stream=number % 2 == 1))
    with ThreadPoolExecutor(6) as pool:
        for number in range(6):
            pool.submit(client, number)
        eventually(lambda: sum(a.whole for a in answers) >= 30)
        cluster.kill("eu-gw")
    seen = sum(a.whole for a in answers) + three.seen["eu-gw"].requests
    cluster.again("eu-gw")
    eventually(lambda: report(cluster, "eu-gw") is not None)
    booked = report(cluster, "eu-gw")["eu-gw"]
    assert seen <= booked.requests <= seen + 6
    three.seen["eu-gw"] = booked
    three.wait()


def test_all_brokers_are_lost(three):
    cluster = three.cluster
    brokers = [n for n in cluster.processes if n.endswith("-nats")]
    for name in brokers:
        cluster.kill(name)
    for gateway in GATEWAYS:
        three.ask(gateway, 3)
    cluster.kill("us-gw")
    for name in brokers:
        cluster.again(name)
    cluster.again("us-gw")
    three.wait()


def test_a_region_is_cut_off(three):
    net = three.cluster.net
    if not net.distances:
        pytest.skip("loopback has no wires to cut")
    net.isolate([h for h, region in net.hosts.items() if region == "asia"])
    for gateway in GATEWAYS:
        three.ask(gateway, 3)
    eventually(lambda: (report(three.cluster, "eu-gw") or {}).get("us-gw") == three.seen["us-gw"])
    assert report(three.cluster, "asia-gw").get("eu-gw") != three.seen["eu-gw"]
    net.heal()
    three.wait()


def test_packets_are_lost(three):
    net = three.cluster.net
    if not net.distances:
        pytest.skip("loopback loses no packets")
    net.lossy(0.05)
    for gateway in GATEWAYS:
        three.ask(gateway, 5)
    three.wait()
    net.heal()


def test_a_gateway_that_is_told_to_end_tells_the_rest_first(three):
    three.ask("us-gw", 1)
    three.wait()
    three.ask("us-gw", 3)
    three.cluster.terminate("us-gw")
    three.wait(["eu-gw", "asia-gw"])
    three.cluster.again("us-gw")
    three.wait()


def test_the_books_say_the_same_when_all_have_ended(three):
    for gateway in GATEWAYS:
        three.cluster.kill(gateway)
    for gateway in GATEWAYS:
        done = subprocess.run([VERGE, "usage", "--json", "--from", "2020-01-01", "--data", str(three.cluster.folder / "data" / gateway)], capture_output=True, text=True, check=True)
        total = json.loads(done.stdout)["total"]
        assert Usage(*(total[k] for k in Usage._fields)) == Usage(*map(sum, zip(*three.seen.values()))), gateway
