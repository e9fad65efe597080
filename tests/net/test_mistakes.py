"""What an operator gets wrong is named, with what to do: keys, certificates, brokers, placement. On loopback, with keys and a real nats-server."""
import json, os, re, shutil, socket, subprocess, threading
import pytest
from brokers import verge_cluster
from cluster import GATEWAY_PORT, MODEL, VERGE, Cluster, eventually, hosts
from conftest import network


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A region with a broker, a gateway and a node."""
    with network("loopback", hosts(nodes=1, regions=("eu",))) as net, Cluster(net, tmp_path_factory.mktemp("mistakes"), secure=True) as cluster:
        yield cluster.start(nodes=1, regions=("eu",))


def serve(cluster, role, keys, tmp_path, **more):
    """What `verge serve` says when it cannot start."""
    done = subprocess.run([VERGE, "serve", "--role", role, "--cluster", cluster.urls["eu"], "--cluster-keys", str(keys), "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--data", str(tmp_path / "data")],
                          capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 1, done
    return done.stderr


def test_keys_of_another_role(one, tmp_path):
    keys = one.brokers.folder / "keys"
    assert re.search(r"--role node: the keys in .* are those of a gateway .*--role gateway", serve(one, "node", keys / "eu-gw", tmp_path))
    assert re.search(r"--role gateway: the keys in .* are those of a node .*--role node", serve(one, "gateway", keys / "eu1", tmp_path))


def test_keys_that_cannot_be_used(one, tmp_path):
    good, bad = one.brokers.folder / "keys" / "eu1", tmp_path / "bad"

    def say(spoil, **more):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        spoil()
        return serve(one, "node", bad, tmp_path, **more)
    other = one.brokers.folder / "keys" / "eu-gw"
    assert "nkey.seed is missing" in say(lambda: (bad / "nkey.seed").unlink())
    assert "node.key is empty" in say(lambda: (bad / "node.key").write_text(""))
    assert "node.key is no private key" in say(lambda: (bad / "node.key").write_text("nonsense"))
    assert "node.crt is no certificate" in say(lambda: (bad / "node.crt").write_text("nonsense"))
    assert "ca.crt is no certificate" in say(lambda: (bad / "ca.crt").write_text("nonsense"))
    assert "nkey.seed" in say(lambda: (bad / "nkey.seed").write_text("SUnonsense\n"))
    assert "is not the key of eu1" in say(lambda: shutil.copy(other / "nkey.seed", bad))
    assert "is the certificate of eu-gw" in say(lambda: shutil.copy(other / "node.crt", bad))
    assert "is not the key of" in say(lambda: shutil.copy(other / "node.key", bad))
    assert "cluster.json is damaged" in say(lambda: (bad / "cluster.json").write_text("{"))
    assert "there is no such folder" in say(lambda: shutil.rmtree(bad))
    verge_cluster("init", tmp_path / "other")
    assert "of two clusters" in say(lambda: shutil.copy(tmp_path / "other" / "ca.crt", bad))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_keys_of_another_user(one, tmp_path):
    folder = tmp_path / "keys"
    shutil.copytree(one.brokers.folder / "keys" / "eu1", folder)
    become = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(["python3", "-c", "import os; os.setuid(65534); os.listdir(%r); os.access(%r, os.X_OK) or exit(1)" % (str(folder), VERGE)], capture_output=True)
    if done.returncode:
        pytest.skip("another user cannot reach the program or the folder here")
    done = subprocess.run(["python3", "-c", become, VERGE, "serve", "--role", "node", "--cluster", one.urls["eu"], "--cluster-keys", str(folder), "--listen", "127.0.0.1:0", "--data", "/tmp/none"], capture_output=True, text=True)
    assert "is for user 0 only (mode 600), and this program runs as user 65534" in done.stderr, done.stderr


def test_a_key_that_nats_does_not_know(one):
    one.brokers.join("unknown", "eu", "node", tell=False)
    one.start_node("unknown", host="eu-nats", region="eu")
    eventually(lambda: "the NATS server does not know the key of unknown: copy nats/users.conf" in one.log("unknown"))
    one.brokers.reload()  # and then it is let in
    one.wait_for("eu-gw", ["unknown"])
    one.kill("unknown")


def test_what_is_no_broker(one, tmp_path):
    def says(text, cluster_url):
        name = f"gw-{abs(hash(text)) % 10000}"
        keys = one.brokers.folder / "keys" / "eu-gw"
        with open(tmp_path / name, "wb") as log:
            process = subprocess.Popen([VERGE, "serve", "--role", "gateway", "--cluster", cluster_url, "--cluster-keys", str(keys), "--listen", "127.0.0.1:0", "--data", str(tmp_path / name) + "-data"], stdout=log, stderr=log)
        try:
            eventually(lambda: text in (tmp_path / name).read_text(errors="replace"))
        finally:
            process.kill()
            process.wait()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        says("nobody listens on 127.0.0.1", f"nats://127.0.0.1:{nobody.getsockname()[1]}")
    for banner in (b"SSH-2.0-OpenSSH_9\r\n", b""):
        with socket.create_server(("127.0.0.1", 0)) as other:
            kept = []

            def accept():
                try:
                    while True:
                        connection = other.accept()[0]
                        kept.append(connection)
                        connection.sendall(banner)
                except OSError:
                    pass
            threading.Thread(target=accept, daemon=True).start()
            says("is no NATS server (it says " + ("'SSH-2.0" if banner else "nothing)"), f"nats://127.0.0.1:{other.getsockname()[1]}")
            other.shutdown(socket.SHUT_RDWR)
    says("cannot be resolved", "nats://no-such-host.invalid:4222")
    # A broker without TLS, and one of another cluster.
    net = one.net
    with Cluster(net, tmp_path / "open-cluster", secure=False) as plain:
        plain.folder.mkdir(exist_ok=True)
        command = shutil.which("nats-server", path=os.environ["PATH"] + ":/usr/sbin")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen([command, "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            says("does without TLS", f"nats://127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()
    verge_cluster("init", tmp_path / "other", "--nats-host", "127.0.0.1")
    config = (tmp_path / "other" / "nats" / "nats.conf")
    config.write_text(config.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{port}").replace("http: \"127.0.0.1:8222\"\n", ""))
    process = subprocess.Popen([command, "-c", "nats.conf"], cwd=tmp_path / "other" / "nats", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        says("is of another authority", f"nats://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def test_certificates_are_renewed_and_their_end_is_a_metric(one):
    def ends():
        return {name: float(value) for name, value in re.findall(r'^verge_certificate_expiry_seconds\{certificate="(\w+)"\} (\S+)$', one.get("eu-gw", "/metrics")[1], re.M)}
    keys = one.brokers.folder / "keys" / "eu-gw"
    before, seed, certificate = ends(), (keys / "nkey.seed").read_text(), (keys / "node.crt").read_text()
    assert set(before) == {"cluster", "authority"} and min(before.values()) > 1.8e9
    said = verge_cluster("renew", one.brokers.authority, "--name", "eu-gw", "--out", keys)
    assert "restart it there" in said and (keys / "node.crt").read_text() != certificate and (keys / "nkey.seed").read_text() == seed
    verge_cluster("renew", one.brokers.authority, "--nats")
    one.kill("eu-gw")
    one.again("eu-gw")
    one.wait_for("eu-gw", ["eu1"])
    eventually(lambda: ends().get("cluster", 0) >= before["cluster"])
    done = subprocess.run([VERGE, "cluster", "renew", one.brokers.authority, "--name", "nobody"], capture_output=True, text=True)
    assert done.returncode == 1 and "nobody is no member" in done.stderr


def test_placement_refuses_what_is_not_known_and_keeps_what_it_was_not_told(one):
    def place(*words):
        return subprocess.run([VERGE, "place", *words, "--server", f"http://{one.front('eu-gw')}:{GATEWAY_PORT}"], capture_output=True, text=True)
    eventually(lambda: place().returncode == 0)
    for words, why in (([f"{MODEL}x", "--min", "1"], f"{MODEL}x"), ([MODEL, "--pin", "eu9"], "no node 'eu9' is known here; known: eu1"), ([MODEL, "--region", "mars"], "'mars' is known here; known: eu")):
        refused = place(*words)
        assert refused.returncode == 1 and why in refused.stderr, refused
    assert place(MODEL, "--min", "1", "--pin", "eu1").returncode == 0
    assert place(MODEL, "--max", "3").returncode == 0
    eventually(lambda: json.loads(place("--json").stdout)[0]["have"] == ["eu1"])
    row = json.loads(place("--json").stdout)[0]
    assert (row["min"], row["max"], row["pins"], row["regions"]) == (1, 3, ["eu1"], [])
    assert re.search(rf"^{MODEL} +1 +3 +any +eu1 +1 \(eu1\)", place().stdout, re.M), place().stdout
    assert place(MODEL, "--pin", "any").returncode == 0
    assert json.loads(place("--json").stdout)[0]["pins"] == []
    assert place(MODEL, "--forget").returncode == 0 and json.loads(place("--json").stdout) == []
    assert place(f"{MODEL}x", "--forget").returncode == 0
