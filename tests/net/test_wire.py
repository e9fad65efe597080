"""The wire itself: what it is told about delay, loss and cuts is what sockets in the namespaces see."""
import os, signal, socket, subprocess, sys, threading, time
import pytest
from network import PREFIX, THREE_REGIONS, Network, unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))
HOSTS = {"us1": "us", "us2": "us", "eu1": "eu", "asia1": "asia"}


@pytest.fixture(scope="module")
def net():
    with Network(HOSTS, THREE_REGIONS) as net:
        yield net


@pytest.fixture(autouse=True)
def healed(net):
    net.heal()


def udp(net, host, port=0):
    with net.inside(host):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((net.address(host), port))
    s.settimeout(2)
    return s


def echo(net, host):
    """A thread on a host that sends datagrams back; its socket."""
    s = udp(net, host)

    def serve():
        while True:
            try:
                data, peer = s.recvfrom(2048)
                s.sendto(data, peer)
            except TimeoutError:
                continue
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()
    return s


def round_trips(net, a, b, count=20):
    with udp(net, a) as s, echo(net, b) as server:
        times = []
        for i in range(count):
            began = time.monotonic()
            s.sendto(str(i).encode(), server.getsockname())
            assert s.recv(100) == str(i).encode()
            times.append((time.monotonic() - began) * 1000)
        return times


def sent_and_received(net, a, b, count=2000):
    """Numbers of the datagrams that arrive of `count` sent one way."""
    with udp(net, a) as s, udp(net, b) as receiver:
        for i in range(count):
            s.sendto(i.to_bytes(4, "big"), receiver.getsockname())
            if i % 50 == 49:
                time.sleep(0.002)
        receiver.settimeout(0.5)
        got = []
        try:
            while True:
                got.append(int.from_bytes(receiver.recv(100), "big"))
        except TimeoutError:
            return got


@pytest.mark.parametrize("a,b", [("us1", "us2"), ("us1", "eu1"), ("us1", "asia1"), ("eu1", "asia1")])
def test_round_trip_is_the_matrix(net, a, b):
    rtt = net.rtt(a, b)
    times = round_trips(net, a, b)
    # Never early (but for the jitter); late only by what the machine's scheduler adds, which the best of the round trips shows little of.
    assert min(times) >= rtt * 0.97 - 0.25
    assert min(times) <= rtt * 1.03 + 3, times


def test_one_way_delay_and_jitter(net):
    net.link("us1", "us2", delay=30, jitter=0)
    net.link("us2", "us1", delay=0, jitter=0)
    assert 29.5 <= min(round_trips(net, "us1", "us2")) <= 33
    net.link("us1", "us2", delay=30, jitter=20)
    times = round_trips(net, "us1", "us2", 60)
    assert min(times) < 20 and max(times) > 40 and min(times) >= 9.5


def test_loss_is_the_share_asked_for_and_one_way(net):
    net.link("us1", "us2", delay=1, loss=0.2)
    got = sent_and_received(net, "us1", "us2")
    assert 0.76 < len(got) / 2000 < 0.84  # five standard deviations
    assert got == sorted(got)
    assert len(sent_and_received(net, "us2", "us1")) == 2000


def test_jitter_does_not_reorder(net):
    net.link("us1", "us2", delay=5, jitter=5)
    assert sent_and_received(net, "us1", "us2", 500) == list(range(500))


def test_one_way_cut_and_join(net):
    net.cut("us1", "eu1", both=False)
    assert sent_and_received(net, "us1", "eu1", 50) == []
    assert sent_and_received(net, "eu1", "us1", 50) == list(range(50))
    before = net.stats("us1", "eu1")["cut"]
    assert before >= 50
    net.heal()
    assert sent_and_received(net, "us1", "eu1", 50) == list(range(50))
    assert net.stats("us1", "eu1")["cut"] == before


def test_a_cut_loses_what_is_underway(net):
    with udp(net, "us1") as s, udp(net, "asia1") as receiver:
        s.sendto(b"late", receiver.getsockname())
        net.cut("us1", "asia1")
        receiver.settimeout(0.4)
        with pytest.raises(TimeoutError):
            receiver.recv(100)


def test_a_partition_leaves_the_rest_alone(net):
    net.isolate(["us1", "us2"])
    assert sent_and_received(net, "us1", "us2", 20) == list(range(20))
    assert sent_and_received(net, "eu1", "asia1", 20) == list(range(20))
    assert sent_and_received(net, "asia1", "us2", 20) == []


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_tcp_carries_many_packets_cheaply(net):
    """A bulk transfer over 1 ms: every byte arrives, and the wire's processor time stays in microseconds a packet."""
    size = 64 << 20
    with net.inside("us2"):
        listener = socket.create_server((net.address("us2"), 0))
    total = []

    def receive():
        connection, _ = listener.accept()
        count = 0
        while data := connection.recv(1 << 20):
            count += len(data)
        total.append(count)
    thread = threading.Thread(target=receive)
    thread.start()
    before, cpu = net.stats()["delivered"], cpu_of(net._wire.pid)
    with net.inside("us1"):
        s = socket.create_connection(listener.getsockname())
    began = time.monotonic()
    with s:
        s.sendall(bytes(size))
    thread.join()
    seconds = time.monotonic() - began
    packets, cpu = net.stats()["delivered"] - before, cpu_of(net._wire.pid) - cpu
    print(f"\n{packets} packets in {seconds:.2f} s: {packets / seconds:.0f}/s, {size / seconds / 1e6:.0f} MB/s, {cpu / packets * 1e6:.1f} us of processor time each")
    assert total == [size]
    listener.close()


def test_commands_that_make_no_sense_are_refused(net):
    for line in ["", "link", "link nobody *", "link * * delay=-1", "link * * loss=2", "link * * delay=1x", "explode * *", "cut * * delay=1", "link * * delay=nan"]:
        with pytest.raises(RuntimeError, match="error"):
            net.say(line)
    assert sent_and_received(net, "us1", "us2", 5) == list(range(5))


def test_a_killed_run_is_swept():
    """A run that is killed leaves namespaces; its wire ends by itself, and the next run removes the rest."""
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); from network import Network\n"
            "net = Network({'a': 'x', 'b': 'x'}); p = net.start('a', ['sleep', '1000']); print(net._wire.pid, p.pid, flush=True); time.sleep(1000)")
    child = subprocess.Popen([sys.executable, "-c", code, os.path.dirname(os.path.abspath(__file__))], stdout=subprocess.PIPE, text=True)
    wire, sleeper = map(int, child.stdout.readline().split())
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = [n for n in os.listdir("/run/netns") if n.startswith(f"{PREFIX}{child.pid}-")]
    assert sorted(left) == [f"{PREFIX}{child.pid}-1-a", f"{PREFIX}{child.pid}-1-b"]

    def gone(pid):
        try:
            return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True
    while not gone(wire):
        time.sleep(0.01)
    with Network({"c": "x"}):
        assert not [n for n in os.listdir("/run/netns") if n.startswith(f"{PREFIX}{child.pid}-")]
        while not gone(sleeper):
            time.sleep(0.01)
