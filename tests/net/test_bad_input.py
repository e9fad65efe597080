"""What goes wrong between machines is said clearly, and what can be served is served."""
import http.client, itertools, json, pathlib, re, socket, ssl, subprocess, time
import nats
import pytest
from brokers import PORT, Brokers
from cluster import MODEL, NODE_PORT, VERGE, Cluster, eventually, hosts
from conftest import network

BOOT, SEQUENCE = int(time.time() * 1e6), itertools.count(1)
HOSTS = hosts(nodes=1) | {"eu2": "eu", "eu3": "eu"}


@pytest.fixture(scope="module")
def small(kind, tmp_path_factory):
    """A node in eu and one in us, and eu's gateway."""
    with network(kind, HOSTS) as net, Cluster(net, tmp_path_factory.mktemp("small")) as cluster:
        cluster.start_brokers()
        cluster.start_node("eu1")
        cluster.start_node("us1")
        cluster.start_gateway("eu")
        cluster.wait_for("eu-gw", ["eu1", "us1"])
        yield cluster


@pytest.fixture(autouse=True)
def still_serves(request):
    yield
    if "small" not in request.fixturenames:
        return
    small = request.getfixturevalue("small")
    answer = small.ask("eu-gw", 1, 10)
    assert answer.whole, answer
    for name in ("eu1", "us1", "eu-gw"):
        assert small.processes[name].poll() is None, small.log(name)[-2000:]


def ended(cluster, name):
    """Exit status and what it said."""
    status = cluster.processes.pop(name).wait()
    return status, cluster.log(name)


def test_a_cluster_that_nobody_answers(small):
    """The node waits for it and says so; it is not ready, and ends when told to."""
    nowhere = f"nats://{small.net.address('eu3')}:1"
    small.start_node("eu3", cluster=nowhere)
    eventually(lambda: nowhere.removeprefix("nats://") in small.log("eu3") and "loading model" in small.log("eu3"))
    assert small.processes["eu3"].poll() is None
    assert small.terminate("eu3")[0] == 0
    del small.processes["eu3"]
    assert re.search(r"cannot be reached", small.log("eu3")), small.log("eu3")


def test_a_gateway_without_a_cluster_says_so(small):
    small.start_gateway("eu", name="alone", host="eu3", cluster=f"nats://{small.net.address('eu3')}:1")
    eventually(lambda: _status(small, "alone", "/healthz") == 200)
    assert _status(small, "alone", "/readyz") == 503
    answer = small.ask("alone", 1, 5, stream=False)
    assert answer.status >= 400 and answer.code and answer.text, answer
    assert small.terminate("alone")[0] == 0
    del small.processes["alone"]


def _status(cluster, gateway, path):
    try:
        return cluster.get(gateway, path)[0]
    except OSError:
        return None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nats://", "nats://user:secret@127.0.0.1:4222", "", "127.0.0.1"])
def test_a_url_that_is_none(url, tmp_path):
    done = subprocess.run([VERGE, "serve", "--role", "node", "--cluster", url, "--insecure-cluster", "--name", "x", "--region", "eu", "--listen", "127.0.0.1:0", "--data", tmp_path], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "cluster" in done.stderr and "secret" not in done.stderr, done.stderr


@pytest.mark.parametrize("coordinates", ["here", "91,0", "0,181", "52.5", "52.5,13.4,7", "nan,0"])
def test_coordinates_that_are_none(coordinates, tmp_path):
    done = subprocess.run([VERGE, "serve", "--cluster", "nats://127.0.0.1:9", "--insecure-cluster", "--name", "a", "--region", "eu", "--coordinates", coordinates, "--data", tmp_path],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "--coordinates wants degrees" in done.stderr, done


def test_no_keys_beyond_loopback(tmp_path):
    for words in (["--insecure-cluster", "--listen", "0.0.0.0:0", "--cluster", "nats://127.0.0.1:4222"], ["--insecure-cluster", "--listen", "127.0.0.1:0", "--cluster", "nats://10.1.2.3:4222"],
                  ["--listen", "127.0.0.1:0", "--cluster", "nats://127.0.0.1:4222"], ["--insecure-cluster", "--listen", "127.0.0.1:0", "--advertise", "10.1.2.3:1", "--cluster", "nats://127.0.0.1:4222"]):
        done = subprocess.run([VERGE, "serve", "--role", "node", "--name", "x", "--region", "eu", "--data", tmp_path, *words], capture_output=True, text=True, timeout=30)
        assert done.returncode != 0 and ("loopback" in done.stderr or "--cluster-keys" in done.stderr), (words, done.stderr)


def test_a_node_with_the_keys_of_another_cluster(small, tmp_path):
    """NATS turns it away; and were it to be heard, the gateway would not take its certificate."""
    if not small.secure:
        pytest.skip("no keys here")
    other = Brokers(small.net, tmp_path / "other")
    keys = other.join("eu3", "eu", "node")
    small.start_node("eu3", keys=["--cluster-keys", str(keys)])
    eventually(lambda: re.search(r"(?i)certificate|tls|ssl|authorization", small.log("eu3")))
    assert "eu3" not in small.nodes("eu-gw")
    # Announced by somebody else under a name that is allowed: the door at that address shows a certificate of another cluster.
    small.brokers.join("eu2", "eu", "node")
    with small.brokers.client("eu-nats", "eu2") as liar:
        for _ in range(14):
            liar.publish("verge.node.eu.eu2.hb", heartbeat("eu2", "eu", f"{small.net.address('eu3')}:{NODE_PORT}"))
            liar.flush()
            assert small.ask("eu-gw", 2, 5).whole
            time.sleep(0.4)
        assert small.nodes("eu-gw").get("eu2", {}).get("state") != "up"
    small.kill("eu3")
    del small.processes["eu3"]


def test_a_member_that_comes_before_nats_has_heard_of_it(small):
    """It is refused for a while, goes on asking, and is there once the list of members has been taken over."""
    if not small.secure:
        pytest.skip("no keys here")
    small.brokers.join("early", "eu", "node", tell=False)
    small.start_node("early", host="eu3")
    eventually(lambda: small.brokers.log("eu-nats").count("authentication error") >= 3)
    small.brokers.reload()
    small.wait_for("eu-gw", ["early"])
    assert small.terminate("early")[0] == 0
    del small.processes["early"]


def heartbeat(name, region, address, **more):
    return json.dumps({"v": 1, "name": name, "region": region, "address": address, "software": "test", "boot": BOOT, "sequence": next(SEQUENCE), "memory_free_bytes": 1 << 40,
                       "models": [{"id": MODEL, "task": "text-generation", "loaded": True, "slots": 64, "first_token_ms": 1}], **more})


def bus(cluster, member="liar", region="eu"):
    """A raw client of the bus, as a node of the cluster."""
    if not cluster.secure:
        return nats.Client(cluster.net.address("us-nats"), PORT)
    if not (cluster.brokers.folder / "keys" / member).exists():
        cluster.brokers.join(member, region, "node")
    for _ in range(200):  # the broker is taking over the list
        try:
            return cluster.brokers.client("eu-nats", member)
        except (nats.Refused, OSError):
            time.sleep(0.05)
    raise AssertionError("the broker does not know the new member")


def test_two_nodes_of_one_name(small):
    """The second one ends with a message, the first one serves on."""
    keys = ["--cluster-keys", str(small.brokers.folder / "keys" / "eu1")] if small.secure else ["--insecure-cluster"]
    first = small.processes["eu1"]
    small.start_node("eu1-again", host="eu2", keys=keys)
    # The same name from another host.
    small.kill("eu1-again")
    command = [w if w != "eu1-again" else "eu1" for w in small.commands["eu1-again"][0]]
    small._spawn("eu1-again", "eu2", command, small.commands["eu1-again"][1])
    status, said = ended(small, "eu1-again")
    assert status != 0 and "eu1" in said and "--name" in said, said
    assert first.poll() is None
    assert small.nodes("eu-gw")["eu1"]["address"].startswith(small.net.address("eu1"))


@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_a_clock_an_hour_off(small, offset):
    """Requests are served by a node and through a gateway whose clocks are wrong, deadlines included."""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if not library:
        pytest.skip("faketime is not installed")
    # The monotonic clock stays right, as on a machine whose clock is wrong. (The program `faketime` would stand between a signal and the server.)
    wrong = {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    if small.secure:
        small._keys("eu2", "eu", "node")
    small.kill("eu1")
    try:
        small.start_node("eu2", env=wrong)
        small.wait_for("eu-gw", ["eu2"])
        answers = [small.ask("eu-gw", s, 20) for s in range(1, 5)]
        assert all(a.whole for a in answers) and "eu2" in {a.node for a in answers}, answers
        small.start_gateway("eu", name="skewed", host="eu3", env=wrong)
        small.wait_for("skewed", ["eu2", "us1"])
        assert small.ask("skewed", 1, 20).whole
    finally:
        for name in ("eu2", "skewed"):
            if name in small.processes:
                assert small.terminate(name)[0] == 0
                del small.processes[name]
        small.again("eu1")
        small.wait_for("eu-gw", ["eu1"])


HOSTILE = [b"", b"{", b"null", b"[]", b"\x00\xff\xfe", b"{\"v\":1}", b"[" * 100_000, b"{\"v\":1,\"name\":\"" + b"a" * 900_000 + b"\"}",
           json.dumps({"v": 1, "name": "../../etc", "region": "eu", "address": "x:1"}).encode(), json.dumps({"v": 1, "name": "liar", "region": "eu"}).encode(),
           json.dumps({"v": 1, "name": "liar", "region": "eu", "address": "unix:/tmp/x", "models": []}).encode(), json.dumps({"v": 1, "name": "liar", "region": "eu", "address": "h:99999", "models": [1, None, {}]}).encode(),
           json.dumps({"v": 1, "name": "liar", "region": "eu", "address": "127.0.0.1:9", "boot": -1, "sequence": 1e300, "models": [{"id": "x" * 1000}] * 900}).encode()]


def test_hostile_messages_are_left_out(small):
    with bus(small) as liar:
        for payload in HOSTILE:
            liar.publish("verge.node.eu.liar.hb", payload)
        liar.flush()
        assert small.ask("eu-gw", 3, 10).whole
    eventually(lambda: "left out" in small.log("eu-gw"))
    assert "liar" not in small.nodes("eu-gw") or small.nodes("eu-gw")["liar"]["state"] != "up"


def test_a_message_of_a_newer_version(small):
    with bus(small, "newer") as newer:
        newer.publish("verge.node.eu.newer.hb", json.dumps({"v": 99, "name": "newer", "region": "eu", "shape": "unknown"}))
        newer.flush()
    eventually(lambda: "version 99" in small.log("eu-gw"))
    assert "newer" not in small.nodes("eu-gw")


def test_a_message_with_unknown_keys_is_read(small):
    with bus(small) as newer:
        newer.publish("verge.node.eu.liar.hb", heartbeat("liar", "eu", f"{small.net.address('eu2')}:9", moon_phase="full"))
        newer.flush()
        eventually(lambda: "liar" in small.nodes("eu-gw"))


def test_a_node_that_lies_about_its_queue(small):
    """It says that it is the nearest, idle and quick, and answers nothing: requests go on to one that does."""
    with small.net.inside("eu2"):
        silent = socket.create_server((small.net.address("eu2"), NODE_PORT))
    with bus(small) as liar, silent:
        answers = []
        for _ in range(12):
            liar.publish("verge.node.eu.liar.hb", heartbeat("liar", "eu", f"{small.net.address('eu2')}:{NODE_PORT}"))
            liar.flush()
            answers.append(small.ask("eu-gw", 4, 10))
            time.sleep(0.2)
    assert all(a.whole and a.node != "liar" for a in answers), answers


def test_a_node_that_lies_about_its_distance(small):
    """An honest process that names another's address: the certificate there is another's, or the heartbeat is."""
    with bus(small) as liar:
        for _ in range(14):
            liar.publish("verge.node.eu.liar.hb", heartbeat("liar", "eu", f"{small.net.address('us1')}:{NODE_PORT}"))
            liar.flush()
            assert small.ask("eu-gw", 5, 10).whole
            time.sleep(0.4)
        assert small.nodes("eu-gw").get("liar", {}).get("state") != "up"


def test_nobody_speaks_for_another(small):
    """Where keys are, NATS refuses it; where none are, the subject must agree with the message."""
    with bus(small) as liar:
        if small.secure:
            with pytest.raises(nats.Refused, match="Permissions"):
                liar.publish("verge.node.eu.eu1.hb", heartbeat("eu1", "eu", "127.0.0.1:9"))
                liar.flush()
        else:
            liar.publish("verge.node.eu.liar.hb", heartbeat("eu1", "eu", "127.0.0.1:9"))
            liar.flush()
    time.sleep(1)
    assert small.nodes("eu-gw")["eu1"]["address"].startswith(small.net.address("eu1"))


def test_the_door_is_for_the_cluster(small, tmp_path):
    """A client cannot talk to a node past the gateways."""
    if not small.secure:
        pytest.skip("no keys here")
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    address = (small.net.address("eu1"), NODE_PORT)
    connection = small.net.http("eu-gw", address, 20, blind)
    connection.request("POST", "/v1/run", b"x" * 100)
    assert connection.getresponse().status == 403
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 403)):
        connection = small.net.http("eu-gw", address, 20, blind)
        connection.request("GET", path)
        assert connection.getresponse().status == status, path
    other = Brokers(small.net, tmp_path / "other")
    keys = other.join("eu1", "eu", "node")
    strange = ssl.create_default_context()
    strange.check_hostname, strange.verify_mode = False, ssl.CERT_NONE
    strange.load_cert_chain(keys / "node.crt", keys / "node.key")
    for tls in (strange, None):  # another cluster's certificate; and in clear
        connection = small.net.http("eu-gw", address, 20, tls)
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.request("GET", "/healthz")
            connection.getresponse()


# Promises: BU1, BU2.
def test_nats_is_down_at_the_start_and_later(kind, tmp_path):
    """Nodes and gateways that start before their broker join when it comes; they outlive it, and its return."""
    of = hosts(nodes=1, regions=("eu",))
    with network(kind, of) as net, Cluster(net, tmp_path) as cluster:
        cluster.urls = {"eu": f"nats://{net.address('eu-nats')}:{PORT}"}
        cluster.start_node("eu1")
        cluster.start_gateway("eu")
        eventually(lambda: "cannot be reached" in cluster.log("eu-gw"))
        assert cluster.processes["eu1"].poll() is None and cluster.processes["eu-gw"].poll() is None

        def start():
            if cluster.secure:
                cluster.brokers.configure("eu-nats")
                cluster.brokers.start("eu-nats")
            else:
                cluster.start_open_broker("eu-nats")

        def stop():
            process = cluster.brokers.processes["eu-nats"] if cluster.secure else cluster.processes["eu-nats"]
            process.kill()
            process.wait()
        start()
        cluster.wait_for("eu-gw", ["eu1"])
        whole = cluster.ask("eu-gw", 1, 20)
        assert whole.whole
        for _ in range(2):
            stop()
            began = time.monotonic()
            while time.monotonic() - began < 7:  # longer than a node may be silent
                answer = cluster.ask("eu-gw", 1, 20)
                assert answer.whole and answer.text == whole.text, answer
                time.sleep(0.3)
            start()
            cluster.wait_for("eu-gw", ["eu1"])
        assert cluster.ask("eu-gw", 1, 20).text == whole.text
