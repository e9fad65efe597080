"""deploy/nats: what operators copy is valid, and refuses whom it must refuse."""
import json, re, time
import pytest
import nats
from brokers import DEPLOY, LEAF_PASSWORD, NATS_SERVER, Brokers
from network import Loopback

HOSTS = {"us-a": "us", "eu-a": "eu", "asia-a": "asia", "edge": "eu", "one": "eu"}
MEMBERS = [("a", "eu", "node"), ("b", "us", "node"), ("gw", "eu", "gateway")]
pytestmark = pytest.mark.skipif(not NATS_SERVER, reason="nats-server is not installed")


@pytest.fixture
def brokers(tmp_path):
    with Loopback(HOSTS) as net:
        brokers = Brokers(net, tmp_path / "c")
        for member in MEMBERS:
            brokers.join(*member)
        yield brokers


@pytest.fixture
def one(brokers):
    brokers.configure("one")
    brokers.start("one")
    brokers.wait("one")
    return brokers


def refused(connect):
    with pytest.raises((nats.Refused, OSError)):
        connect().flush()


def test_the_server_takes_every_configuration(brokers):
    brokers.configure("one", "one-region")
    brokers.configure("eu-a", "several-regions", (DEPLOY / "nats" / "site.example.conf").read_text(), "eu")
    brokers.configure("us-a", "several-regions", (DEPLOY / "kubernetes" / "site.conf").read_text(), "local")
    brokers.configure("edge", "leaf", leaf_url="nats://leaf:x@eu1.example:7422")
    for name in brokers.kinds:
        done = brokers.check(name)
        assert done.returncode == 0, done.stderr


def test_the_commented_cluster_of_one_region_is_valid_too(brokers):
    brokers.configure("one", "one-region")
    text, commented = brokers.file("one").read_text().split("# For three brokers:\n#\n")
    brokers.file("one").write_text(text + re.sub(r"^# ", "", commented, flags=re.M))
    assert "\ncluster {" in brokers.file("one").read_text()
    done = brokers.check("one")
    assert done.returncode == 0, done.stderr


def test_nobody_is_anonymous_or_of_another_cluster(one, tmp_path):
    other = Brokers(one.net, tmp_path / "other")
    other.join("a", "eu", "node")
    one.client("one", "a").socket.close()
    address = one.net.address("one")
    refused(lambda: nats.Client(address, 4222, None, one.tls("a")))          # a certificate and no key
    refused(lambda: nats.Client(address, 4222, nats.Key(), one.tls("a")))    # a key of nobody's
    refused(lambda: nats.Client(address, 4222, one.key("a"), one.tls()))     # no certificate
    refused(lambda: nats.Client(address, 4222, one.key("a"), None))          # in clear
    refused(lambda: nats.Client(address, 4222, other.key("a"), one.tls("a")))
    strange = one.tls()
    strange.load_cert_chain(other.folder / "keys/a/node.crt", other.folder / "keys/a/node.key")
    refused(lambda: nats.Client(address, 4222, one.key("a"), strange))       # another authority's certificate
    for path in (DEPLOY / "nats").glob("*.conf"):
        assert not re.search(r"^\s*no_auth_user", path.read_text(), re.M), path


def test_a_member_speaks_for_itself_only(one):
    with one.client("one", "gw") as gateway, one.client("one", "a") as a:
        gateway.subscribe("verge.node.*.*.hb")
        gateway.flush()
        a.publish("verge.node.eu.a.hb", "mine")
        a.flush()
        assert gateway.next() == ("verge.node.eu.a.hb", b"mine")
        # Another node, the same name in another region, a longer name, wildcards, the system's, the streams', another's inbox.
        for subject in ("verge.node.us.b.hb", "verge.node.us.a.hb", "verge.node.eu.aa.hb", "verge.node.eu.>", "$SYS.REQ.SERVER.PING", "$JS.API.STREAM.DELETE.KV_verge_models",
                        "$JS.API.STREAM.PURGE.KV_verge_models", "$JS.API.STREAM.CREATE.other", "_INBOX.gw.x", "verge.demand.gw", "$KV.verge_quota.x",
                        "verge.usage.gw", "verge.usage.a", "verge.usage.a.gw",
                        "verge.accounts.a", "verge.accounts.gw", "verge.limits.a", "verge.limits.gw"):
            with pytest.raises(nats.Refused, match="Permissions Violation"):
                a.publish(subject, "not mine")
                a.flush()
                raise AssertionError(f"{subject} was taken")
        assert gateway.next(0.3) is None
        for client, subject in ((a, "$SYS.>"), (a, "_INBOX.gw.>"), (a, "_INBOX.>"), (a, ">"), (gateway, "_INBOX.a.>"), (a, "verge.usage.*"), (a, "verge.usage.*.a"), (a, "verge.accounts.*"), (a, "verge.limits.*"), (gateway, "verge.usage.*.other")):
            with pytest.raises(nats.Refused, match="Permissions Violation"):
                client.subscribe(subject)
                client.flush()
                raise AssertionError(f"{subject} was taken")
        with pytest.raises(nats.Refused, match="Permissions Violation"):
            gateway.publish("verge.node.eu.a.hb", "a gateway is no node")
            gateway.flush()
        gateway.subscribe("verge.usage.*")
        gateway.subscribe("verge.usage.*.gw")
        gateway.publish("verge.usage.gw", "its own rows")
        gateway.publish("verge.usage.gw.other", "to one")
        gateway.flush()
        assert gateway.next() == ("verge.usage.gw", b"its own rows")
        for subject in ("verge.usage.other", "verge.usage.other.gw", "verge.usage.gw.a.b", "verge.accounts.other", "verge.limits.other"):
            with pytest.raises(nats.Refused, match="Permissions Violation"):
                gateway.publish(subject, "another's")
                gateway.flush()
                raise AssertionError(f"{subject} was taken")


def test_members_share_values(one):
    with one.client("one", "gw") as gateway:
        gateway.subscribe("_INBOX.gw.>")
        bucket = json.dumps({"name": "KV_verge_quota", "subjects": ["$KV.verge_quota.>"], "max_msgs_per_subject": 1, "storage": "file", "num_replicas": 1, "retention": "limits", "discard": "new",
                             "deny_delete": True, "allow_rollup_hdrs": True, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0})
        gateway.publish("$JS.API.STREAM.CREATE.KV_verge_quota", bucket, reply="_INBOX.gw.1")
        made = json.loads(gateway.next()[1])
        assert "error" not in made, made
        gateway.publish("$KV.verge_quota.x", "hello", reply="_INBOX.gw.2")
        assert json.loads(gateway.next()[1])["seq"] == 1


def test_a_member_that_is_removed_is_turned_away(one):
    kept = one.client("one", "b")
    one.expel("b")
    for _ in range(1000):
        try:
            one.client("one", "b").socket.close()
            time.sleep(0.02)
        except (nats.Refused, OSError):
            break
    else:
        raise AssertionError("still a member")
    refused(lambda: kept)
    one.client("one", "a").socket.close()


def heard(brokers, speaker, member, region, listener):
    """Whether what a node says at one broker is heard at another; gives the way time to open."""
    subject = f"verge.node.{region}.{member}.hb"
    with brokers.client(listener, "gw") as there, brokers.client(speaker, member) as here:
        there.subscribe("verge.node.*.*.hb")
        there.flush()
        for _ in range(300):
            here.publish(subject, "hello")
            here.flush()
            if there.next(0.1) == (subject, b"hello"):
                return True
    return False


def test_regions_hear_each_other(brokers):
    brokers.regions({"us": "us-a", "eu": "eu-a", "asia": "asia-a"})
    for host in ("us-a", "eu-a", "asia-a"):
        brokers.wait(host)
    assert heard(brokers, "eu-a", "a", "eu", "asia-a")
    assert heard(brokers, "us-a", "b", "us", "eu-a")


def test_an_edge_site_goes_on_without_its_region(brokers):
    brokers.regions({"us": "us-a", "eu": "eu-a", "asia": "asia-a"})
    brokers.configure("edge", "leaf", leaf_url=f"nats://leaf:{LEAF_PASSWORD}@{brokers.net.address('eu-a')}:7422")
    brokers.start("edge")
    for name in brokers.processes:
        brokers.wait(name)
    print(brokers.log("edge"))
    assert heard(brokers, "edge", "a", "eu", "us-a")
    brokers.processes["eu-a"].kill()
    brokers.processes["eu-a"].wait()
    assert heard(brokers, "edge", "a", "eu", "edge")
    brokers.start("eu-a")
    brokers.wait("eu-a")
    print(brokers.log("edge"))
    assert heard(brokers, "edge", "a", "eu", "us-a")


def test_a_broker_of_another_authority_is_no_gateway(brokers, tmp_path):
    brokers.regions({"us": "us-a", "eu": "eu-a"})
    other = Brokers(brokers.net, tmp_path / "other")
    site = (brokers.folder / "us-a" / "site.conf").read_text().replace("name: us\n", "name: asia\n")
    for port in (6222, 7222, 7422):  # its own addresses; the list of gateways stays
        site = site.replace(f'listen: "{brokers.net.address("us-a")}:{port}"', f'listen: "{brokers.net.address("asia-a")}:{port}"')
    site = site.replace(f'routes: [ "nats://{brokers.net.address("us-a")}', f'routes: [ "nats://{brokers.net.address("asia-a")}')
    other.configure("asia-a", "several-regions", site, "asia")
    other.start("asia-a")
    for _ in range(2000):
        if re.search("certificate signed by unknown authority|bad certificate|certificate is not valid", other.log("asia-a") + brokers.log("eu-a")):
            break
        time.sleep(0.02)
    else:
        raise AssertionError(other.log("asia-a") + brokers.log("eu-a"))
    assert 'gateway connection from "asia"' not in brokers.log("eu-a")
