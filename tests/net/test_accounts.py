"""Tokens and limits of a cluster with three gateways: made at any, known at all, also without the bus; and a gateway that joins is never open."""
import json, subprocess, threading
from concurrent.futures import ThreadPoolExecutor
import pytest
from cluster import MODEL, REGIONS, VERGE, Cluster, eventually, hosts
from conftest import network
from harness import ACCOUNT

GATEWAYS = [f"{r}-gw" for r in REGIONS]


def command(cluster, gateway, *words):
    """`verge token` or `verge account` on a gateway's machine."""
    done = subprocess.run([VERGE, words[0], "--data", str(cluster.folder / "data" / gateway), "--json", *map(str, words[1:])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def status(cluster, gateway, secret=None, path=f"{ACCOUNT}/models/search"):
    """0: nobody listens there yet."""
    connection = cluster.connection(gateway, 20)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {secret}"} if secret else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def everywhere(cluster, secret, expected, gateways=GATEWAYS):
    eventually(lambda: all(status(cluster, g, secret) == expected for g in gateways))


@pytest.fixture(scope="module")
def three(kind, tmp_path_factory):
    with network(kind, hosts(nodes=1)) as net, Cluster(net, tmp_path_factory.mktemp("accounts")) as cluster:
        cluster.start(nodes=1)
        yield cluster


def test_a_token_of_one_gateway_counts_at_all_and_closes_all(three):
    everywhere(three, None, 200)  # no token was made yet
    first = command(three, "eu-gw", "token", "create", "--name", "first")
    everywhere(three, first["token"], 200)
    everywhere(three, None, 401)
    assert [t["name"] for t in command(three, "asia-gw", "token", "list")] == ["first"]


def test_a_revocation_reaches_all(three):
    made = command(three, "us-gw", "token", "create", "--name", "short", "--scope", "read")
    everywhere(three, made["token"], 200)
    command(three, "asia-gw", "token", "revoke", made["id"])
    everywhere(three, made["token"], 401)


def test_limits_are_those_of_all(three):
    command(three, "us-gw", "account", "set", "acc", "--concurrency", 7, "--rate", "text-generation=60")
    eventually(lambda: all([a["concurrency"] for a in command(three, g, "account", "list")] == [7] for g in GATEWAYS))
    command(three, "asia-gw", "account", "remove", "acc")
    eventually(lambda: all(command(three, g, "account", "list") == [] for g in GATEWAYS))


def hammer(cluster, secret, account, gateways, each):
    """Statuses of requests at all gateways at the same time."""
    def one(i):
        connection = cluster.connection(gateways[i % len(gateways)])
        try:
            body = {"prompt": "Once", "raw": True, "max_tokens": 2}
            connection.request("POST", f"/client/v4/accounts/{account}/ai/run/{MODEL}", json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
    with ThreadPoolExecutor(24) as pool:
        return list(pool.map(one, range(each * len(gateways))))


def test_a_rate_holds_over_all_gateways(three):
    secret = command(three, "us-gw", "token", "create")["token"]
    everywhere(three, secret, 200)
    command(three, "eu-gw", "account", "set", "fast", "--rate", "text-generation=20")
    eventually(lambda: all([a["id"] for a in command(three, g, "account", "list")] == ["fast"] for g in GATEWAYS))
    statuses = hammer(three, secret, "fast", GATEWAYS, 20)
    assert set(statuses) <= {200, 429}, statuses
    assert 20 <= statuses.count(200) <= 20 + len(GATEWAYS) - 1, statuses
    # One after the other at one gateway: what is left elsewhere is had there, with a wait at most.
    command(three, "eu-gw", "account", "set", "slow", "--rate", "text-generation=6")
    eventually(lambda: all(len(command(three, g, "account", "list")) == 2 for g in GATEWAYS))
    answers = [hammer(three, secret, "slow", [g], 1)[0] for g in ["us-gw"] * 4 + ["eu-gw"] * 4]
    assert 6 <= answers.count(200) <= 8 and answers[:4] == [200] * 4, answers


def test_requests_at_once_hold_over_all_gateways(three):
    secret = command(three, "us-gw", "token", "create")["token"]
    everywhere(three, secret, 200)
    command(three, "us-gw", "account", "set", "wide", "--concurrency", 4)
    eventually(lambda: all("wide" in [a["id"] for a in command(three, g, "account", "list")] for g in GATEWAYS))
    most, now, lock = [0], [0], threading.Lock()

    def long(i):
        connection = three.connection(GATEWAYS[i % 3])
        try:
            body = {"prompt": "Once upon a time", "raw": True, "max_tokens": 200, "stream": True}
            connection.request("POST", f"/client/v4/accounts/wide/ai/run/{MODEL}", json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            if answer.status == 200:
                with lock:  # its first event is here: it is under way
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                answer.readline()
                with lock:
                    now[0] -= 1
            answer.read()
            return answer.status
        finally:
            connection.close()
    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(long, range(24)))
    assert set(statuses) <= {200, 429} and 429 in statuses, statuses
    assert most[0] <= 4 + len(GATEWAYS) - 1


def test_a_gateway_that_was_away_brings_nothing_back_and_gets_all(three):
    old = command(three, "us-gw", "token", "create", "--name", "old")
    everywhere(three, old["token"], 200)
    three.kill("eu-gw")
    command(three, "us-gw", "token", "revoke", old["id"])
    new = command(three, "asia-gw", "token", "create", "--name", "new")
    three.again("eu-gw")
    everywhere(three, new["token"], 200)
    everywhere(three, old["token"], 401)


def test_a_gateway_that_joins_late_is_never_open(three):
    known = command(three, "us-gw", "token", "create", "--name", "before the fourth")
    three.start_gateway("eu", "fourth", host="eu-nats")
    seen = set()

    def asked():
        seen.add(status(three, "fourth"))
        return status(three, "fourth", known["token"]) == 200
    eventually(asked)
    assert seen <= {0, 401, 403, 503}, seen
    three.kill("fourth")


def test_what_is_known_counts_without_the_bus(three):
    known = command(three, "us-gw", "token", "create", "--name", "before the cut")
    everywhere(three, known["token"], 200)
    three._keys("fifth", "eu", "gateway")  # which brokers learn of while they are there
    brokers = [n for n in three.processes if n.endswith("-nats")]
    for name in brokers:
        three.kill(name)
    three.kill("asia-gw")
    three.again("asia-gw")
    everywhere(three, known["token"], 200)
    everywhere(three, None, 401)
    # A gateway that knows nothing lets nobody in.
    three.start_gateway("eu", "fifth", host="eu-nats")
    eventually(lambda: status(three, "fifth", path="/healthz") == 200)
    assert status(three, "fifth") == 503 and status(three, "fifth", known["token"]) == 503
    assert status(three, "fifth", path="/readyz") == 503
    here = command(three, "us-gw", "token", "create", "--name", "cut off")
    for name in brokers:
        three.again(name)
    everywhere(three, here["token"], 200, [*GATEWAYS, "fifth"])


def test_a_file_of_tokens_is_followed(three, tmp_path):
    file = tmp_path / "tokens"
    secret, other = "s" * 40, "o" * 40
    file.write_text(f"{secret} scope=read name=outside\n")
    three.kill("fifth")
    three.start_gateway("eu", "sixth", host="eu-nats", options=["--tokens", str(file)])
    everywhere(three, secret, 200, ["sixth"])
    file.write_text(f"{other}\n")
    everywhere(three, other, 200, ["sixth"])
    assert status(three, "sixth", secret) == 401
    file.write_text("what is this\n")
    eventually(lambda: "line 1" in three.log("sixth"))
    assert status(three, "sixth", other) == 200
    wrong = subprocess.run([VERGE, "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "d"), "--tokens", str(file)], capture_output=True, text=True)
    assert wrong.returncode == 1 and "line 1" in wrong.stderr, wrong.stderr
