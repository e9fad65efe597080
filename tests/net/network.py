"""Machines far apart, on one machine: a network namespace each, joined by tests/net/wire (delay, jitter, loss, cuts).

    with Network({"us1": "us", "eu1": "eu"}, rtt_ms={("us", "eu"): 80}) as net:
        net.start("us1", ["some", "server"])
        net.cut("us1", "eu1")

`Loopback` has the same methods without namespaces and without delays: each host is an address of 127.0.0.0/8. Tests that
need no distance run on both. Namespaces need root; `unavailable()` says why they cannot be had."""
import contextlib, ctypes, functools, http.client, itertools, json, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = "verge-net-"
# Round trips between data centres in Virginia, Frankfurt and Singapore, near what carriers publish; 1 ms within a region.
THREE_REGIONS = {("us", "eu"): 90, ("us", "asia"): 220, ("eu", "asia"): 160}
LOCAL_RTT_MS = 1
CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def wire_binary():
    if given := os.environ.get("VERGE_WIRE"):
        return given
    verge = os.environ.get("VERGE_BINARY")
    return str(pathlib.Path(verge).with_name("wire") if verge else ROOT / "build" / "release" / "wire")


@functools.cache
def unavailable():
    """Why there are no namespaces here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip") or not shutil.which("nsenter"):
        return "network namespaces need ip (iproute2) and nsenter (util-linux)"
    if not os.access(wire_binary(), os.X_OK):
        return f"{wire_binary()} is not built (cmake --build build/release --target wire)"
    name = f"{PREFIX}{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return "no network namespace can be made here: " + made.stderr.strip()
    try:
        tun = subprocess.run(["ip", "-n", name, "tuntap", "add", "dev", "probe", "mode", "tun"], capture_output=True, text=True)
        return f"no TUN device can be made here: {tun.stderr.strip()}" if tun.returncode else None
    finally:
        subprocess.run(["ip", "netns", "del", name])


def _end_all(namespace):
    """Ends what runs in a namespace, and the namespace."""
    for _ in range(50):
        pids = [int(p) for p in subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout.split() if int(p) != os.getpid()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            break
        time.sleep(0.02)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def sweep():
    """Removes what runs that were killed have left: namespaces whose maker is gone, and the processes in them."""
    folder = pathlib.Path("/run/netns")
    for path in folder.glob(PREFIX + "*") if folder.is_dir() else ():
        maker = path.name.removeprefix(PREFIX).split("-")[0]
        if maker.isdigit() and not os.path.exists(f"/proc/{maker}"):
            _end_all(path.name)


class _Hosts:
    """What both kinds of network share: the processes of hosts and connections between them."""

    def __init__(self, hosts):
        self.hosts = dict(hosts)  # name -> region
        regions = sorted(set(self.hosts.values()))
        self._addresses, used = {}, {}
        for name, region in self.hosts.items():
            used[region] = used.get(region, 0) + 1
            self._addresses[name] = f"{self.NET}.{regions.index(region) + 1}.{used[region]}"
        self.processes = []

    def address(self, host):
        return self._addresses[host]

    def start(self, host, command, **options):
        """Popen of a command on a host; its pid is the command's own."""
        process = subprocess.Popen(self.command(host, command), stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def http(self, host, address, timeout=60, tls=None):
        """An HTTP connection from one host to (address, port)."""
        kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        connection = kind(*address, timeout=timeout, **({"context": tls} if tls else {}))

        def connect(target, timeout=None, source=None):
            with self.inside(host):
                return socket.create_connection(target, timeout, source)
        connection._create_connection = connect
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()


class Loopback(_Hosts):
    NET = "127.91"
    distances = False

    def command(self, host, command):
        return list(command)

    @contextlib.contextmanager
    def inside(self, host):
        yield


class Network(_Hosts):
    NET = "10.91"
    distances = True

    def __init__(self, hosts, rtt_ms=None, jitter=0.02):
        super().__init__(hosts)
        sweep()
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is open is closed
        self._number = next(_numbers)  # of this process's networks
        self._made, self._wire, self._control = [], None, None
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._rtt_ms, self._jitter = rtt_ms or {}, jitter
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def namespace(self, host):
        return f"{PREFIX}{os.getpid()}-{self._number}-{host}"

    def _make(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "add", self.namespace(host)], check=True)
            self._made.append(host)
        path = os.path.join(self._folder.name, "control")
        self._wire = subprocess.Popen([wire_binary(), path] + [f"{self.namespace(h)}={self.address(h)}" for h in self.hosts], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._wire.stdout.readline() != b"ready\n":
            raise RuntimeError("the wire did not start")
        for host in self.hosts:
            lines = f"link set lo up\naddr add {self.address(host)}/16 dev wire0\nlink set wire0 mtu 1500 txqueuelen 10000 up\n"
            subprocess.run(["ip", "-n", self.namespace(host), "-batch", "-"], input=lines.encode(), check=True)
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(path)
        self._answers = self._control.makefile("rb")
        self.heal()

    def say(self, line):
        """One command of the wire's."""
        self._control.sendall((line + "\n").encode())
        answer = self._answers.readline().decode().strip()
        if answer.startswith("error") or not answer:
            raise RuntimeError(f"wire: {line}: {answer}")
        return answer

    def _wire_name(self, host):
        return host if host == "*" else self.namespace(host)

    def rtt(self, a, b):
        ra, rb = self.hosts[a], self.hosts[b]
        return LOCAL_RTT_MS if ra == rb else self._rtt_ms.get((ra, rb)) or self._rtt_ms.get((rb, ra)) or LOCAL_RTT_MS

    def link(self, a, b, delay=None, jitter=None, loss=0):
        """One direction. Delay in milliseconds; left out, half the round trip of the regions."""
        delay = self.rtt(a, b) / 2 if delay is None else delay
        jitter = delay * self._jitter if jitter is None else jitter
        self.say(f"link {self._wire_name(a)} {self._wire_name(b)} delay={delay} jitter={jitter} loss={loss}")

    def cut(self, a, b, both=True):
        """Nothing passes from a to b, and from b to a unless both=False. Hosts, lists of hosts, or "*"."""
        for one in [a] if isinstance(a, str) else a:
            for other in [b] if isinstance(b, str) else b:
                self.say(f"cut {self._wire_name(one)} {self._wire_name(other)}")
                if both:
                    self.say(f"cut {self._wire_name(other)} {self._wire_name(one)}")

    def isolate(self, hosts):
        """A partition: these hosts reach each other and nobody else does."""
        hosts = [hosts] if isinstance(hosts, str) else list(hosts)
        self.cut(hosts, [h for h in self.hosts if h not in hosts])

    def heal(self):
        """All ways open, without loss, with the regions' delays."""
        self.say("join * *")
        for a in self.hosts:
            for b in self.hosts:
                if a != b:
                    self.link(a, b)

    def lossy(self, share):
        for a in self.hosts:
            for b in self.hosts:
                if a != b:
                    self.link(a, b, loss=share)

    def stats(self, a="*", b="*"):
        return json.loads(self.say(f"stats {self._wire_name(a)} {self._wire_name(b)}"))

    def command(self, host, command):
        return ["nsenter", f"--net=/run/netns/{self.namespace(host)}", "--", *command]

    @contextlib.contextmanager
    def inside(self, host):
        """What this thread opens here belongs to the host."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.namespace(host)}") as there:
            self._enter(there)
            try:
                yield
            finally:
                self._enter(home)

    @staticmethod
    def _enter(namespace):
        if _libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def close(self):
        super().close()
        for host in self._made:
            _end_all(self.namespace(host))
        self._made = []
        if self._control:
            self._control.close()
        if self._wire:
            self._wire.stdin.close()
            self._wire.wait()
            self._wire.stdout.close()
        self._folder.cleanup()
