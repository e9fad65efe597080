"""A few dozen streams of streams.py; `streams.py --streams 1000` is the long run."""
from cluster import Cluster, hosts
from conftest import network
from streams import run


def test_streams_whose_node_is_killed_at_a_random_token(kind, tmp_path):
    with network(kind, hosts(nodes=1)) as net, Cluster(net, tmp_path) as cluster:
        cluster.start(nodes=1)
        counts = run(cluster, streams=36, wave=12, tokens=60, seed=7)
    print("\n", counts)
    assert counts["different"] == counts["truncated"] == 0, counts
    assert counts["kills"] == 3 and counts["went on elsewhere"] > 0
    # Three machines with room: nothing has to fail.
    assert counts["identical"] == counts["streams"], counts
