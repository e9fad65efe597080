"""One trace across hops: the client's, the gateway's, each attempt's and each node's spans, exported over OTLP by every process."""
import json, sys
import pytest
from cluster import Cluster, eventually, hosts
from conftest import network

PORT = 4318
TRACE, CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HERE = __file__.rsplit("/", 1)[0]


@pytest.fixture
def traced(kind, tmp_path):
    """A gateway and two nodes that export to a collector beside the broker: (cluster, spans())."""
    with network(kind, hosts(nodes=2, regions=["us"])) as net, Cluster(net, tmp_path) as cluster:
        cluster.start_brokers(["us"])
        at, file = net.address("us-nats"), tmp_path / "spans"
        cluster._spawn("collector", "us-nats", [sys.executable, f"{HERE}/collector.py", at, str(PORT), str(file)])
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{at}:{PORT}"}
        for name in ("us1", "us2"):
            cluster.start_node(name, env=env)
        cluster.start_gateway("us", env={**env, "OTEL_SERVICE_NAME": "front"})
        cluster.wait_for("us-gw", ["us1", "us2"])
        yield cluster, lambda: spans_of(file)


def spans_of(file):
    """Every span that was exported: its own fields, attributes by key, and who sent it."""
    out = []
    for line in file.read_text().splitlines() if file.exists() else []:
        for resource in json.loads(line)["resourceSpans"]:
            by = {a["key"]: a["value"]["stringValue"] for a in resource["resource"]["attributes"]}
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    attributes = {a["key"]: a["value"].get("stringValue", a["value"].get("intValue")) for a in span["attributes"]}
                    out.append({**span, "attributes": attributes, "service": by["service.name"], "process": by["service.instance.id"]})
    return out


def named(spans, name, process=None):
    return [s for s in spans if s["name"] == name and s["traceId"] == TRACE and process in (None, s["process"])]


def test_one_trace_from_the_client_to_the_node(traced):
    cluster, spans = traced
    answer = cluster.ask("us-gw", tokens=20, headers={"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01"})
    assert answer.whole, answer
    eventually(lambda: len(named(spans(), "run")) == 1 and len(named(spans(), "POST")) == 1)
    # A node has a router too, of its own workers.
    [gateway], [attempt], [inside], [run] = (named(spans(), *of) for of in (("POST",), ("attempt", "us-gw"), ("attempt", answer.node), ("run",)))
    assert [s.get("parentSpanId") for s in (gateway, attempt, inside, run)] == [CLIENT_SPAN, gateway["spanId"], attempt["spanId"], inside["spanId"]]
    assert (gateway["process"], gateway["service"], run["process"], run["service"]) == ("us-gw", "front", answer.node, "verge")
    assert [s["kind"] for s in (gateway, attempt, run)] == [2, 3, 2] and attempt["attributes"]["verge.node"] == answer.node
    for inner, outer in ((attempt, gateway), (run, inside)):  # of one clock each
        assert int(outer["startTimeUnixNano"]) <= int(inner["startTimeUnixNano"]) <= int(inner["endTimeUnixNano"]) <= int(outer["endTimeUnixNano"])


def test_each_attempt_is_seen(traced):
    cluster, spans = traced

    def kill(count, answer):
        if count == 5:
            cluster.kill(answer.node)
    answer = cluster.ask("us-gw", tokens=200, on_event=kill, headers={"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01"})
    assert answer.whole, answer
    eventually(lambda: len(named(spans(), "attempt", "us-gw")) == 2 and len(named(spans(), "POST")) == 1)
    first, second = sorted(named(spans(), "attempt", "us-gw"), key=lambda s: int(s["startTimeUnixNano"]))
    assert [first["attributes"]["verge.attempt"], second["attributes"]["verge.attempt"]] == ["1", "2"]
    assert {first["attributes"]["verge.node"], second["attributes"]["verge.node"]} == {"us1", "us2"}
    assert first["status"]["code"] == 2 and "status" not in second and "status" not in named(spans(), "POST")[0]


def test_a_client_that_does_not_sample_is_left_alone(traced):
    cluster, spans = traced
    assert cluster.ask("us-gw", tokens=5, headers={"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-00"}).whole
    assert cluster.ask("us-gw", tokens=5).whole  # a trace of its own, and the sign that all before it was exported
    eventually(lambda: [s["name"] for s in spans()].count("run") == 1)
    assert all(s["traceId"] != TRACE for s in spans())
