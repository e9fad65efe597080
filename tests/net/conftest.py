import pytest
from brokers import NATS_SERVER
from cluster import Cluster, hosts
from network import THREE_REGIONS, Loopback, Network, unavailable


def network(kind, of):
    if not NATS_SERVER:
        pytest.skip("nats-server is not installed")
    if kind == "loopback":
        return Loopback(of)
    if unavailable():
        pytest.skip(unavailable())
    return Network(of, THREE_REGIONS)


@pytest.fixture(scope="session", params=["distances", "loopback"])
def kind(request):
    """On namespaces with the delays of three continents and all keys; and on loopback addresses without either."""
    return request.param


@pytest.fixture(scope="module")
def world(kind, tmp_path_factory):
    """Three regions with two nodes each."""
    with network(kind, hosts(nodes=2)) as net, Cluster(net, tmp_path_factory.mktemp("world")) as cluster:
        yield cluster.start(nodes=2)
