"""Real nats-servers with the configurations of deploy/nats, and the keys that `verge cluster` makes: one broker, or one a region."""
import os, pathlib, re, shutil, signal, socket, ssl, subprocess, time
import nats

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
NATS_SERVER = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")  # Debian's place, not on everybody's path
PORT = 4222
LEAF_PASSWORD = "edge"


def verge_cluster(*words):
    done = subprocess.run([os.environ["VERGE_BINARY"], "cluster", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Brokers:
    """A cluster's authority, members and brokers, which are named after their hosts."""

    def __init__(self, net, folder):
        self.net, self.folder = net, pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.authority = self.folder / "cluster"
        verge_cluster("init", self.authority, *(word for host in net.hosts for word in ("--nats-host", net.address(host))))
        self.processes, self.kinds, self.environments = {}, {}, {}

    # --- members ---

    def join(self, name, region, role, tell=True):
        """Folder with the keys of a new member. Brokers that run learn of it, unless tell=False."""
        keys = self.folder / "keys" / name
        verge_cluster("join", self.authority, "--name", name, "--region", region, "--role", role, "--out", keys)
        if tell:
            self.reload()
        return keys

    def expel(self, name):
        """No subcommand does this: the file of the member goes, and the next join writes the list without it."""
        (self.authority / "members" / f"{name}.json").unlink()
        shutil.rmtree(self.folder / "keys" / f"after-{name}", ignore_errors=True)
        self.join(f"after-{name}", "eu", "node")

    def key(self, name):
        return nats.Key.from_seed((self.folder / "keys" / name / "nkey.seed").read_text())

    def tls(self, name=None):
        """As a member, or with the authority's certificate only."""
        context = ssl.create_default_context(cafile=self.authority / "ca.crt")
        if name:
            context.load_cert_chain(self.folder / "keys" / name / "node.crt", self.folder / "keys" / name / "node.key")
        return context

    def client(self, broker, member, key=None, at=None, tls=None):
        """A raw client with a member's certificate and key, from the broker's own host or from `at`."""
        with self.net.inside(at or broker):
            return nats.Client(self.net.address(broker), PORT, key or self.key(member), tls or self.tls(member))

    # --- brokers ---

    def reload(self):
        """Every broker that runs takes over the list of members; returns when it has."""
        for name, process in self.processes.items():
            if process.poll() is None:
                before = self.log(name).count("Reloaded")
                shutil.copy(self.authority / "nats" / "users.conf", self.folder / name / "users.conf")
                process.send_signal(signal.SIGHUP)
                for _ in range(500):
                    if self.log(name).count("Reloaded") > before or process.poll() is not None:
                        break
                    time.sleep(0.02)

    def configure(self, name, kind="one-region", site="", region="", leaf_url=""):
        """kind: a file of deploy/nats, without .conf. What it expects in /etc/verge/nats is put into a folder of this broker's."""
        folder, address = self.folder / name, self.net.address(name)
        folder.mkdir(exist_ok=True)
        own = {"/etc/verge/nats": str(folder), "/var/lib/verge-nats": str(folder / "store"), "127.0.0.1:8222": f"{address}:8222"}
        for source in (DEPLOY / "nats").glob("*.conf"):
            text = source.read_text()
            for there, here in own.items():
                text = text.replace(there, here)
            (folder / source.name).write_text(text)
        for file in ("ca.crt", "nats/server.crt", "nats/server.key", "nats/users.conf"):
            shutil.copy(self.authority / file, folder / pathlib.Path(file).name)
        (folder / "site.conf").write_text(site)
        self.kinds[name] = kind
        self.environments[name] = {**os.environ, "VERGE_SERVER": name, "VERGE_LISTEN": f"{address}:{PORT}", "VERGE_REGION": region or "local", "VERGE_LEAF_PASSWORD": LEAF_PASSWORD, "VERGE_LEAF_URL": leaf_url}

    def file(self, name):
        return self.folder / name / f"{self.kinds[name]}.conf"

    def check(self, name):
        """The server's own opinion of a configuration."""
        return subprocess.run([NATS_SERVER, "-t", "-c", self.file(name)], capture_output=True, text=True, env=self.environments[name])

    def start(self, name):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = self.net.start(name, [NATS_SERVER, "-c", str(self.file(name))], stdout=log, stderr=log, env=self.environments[name])

    def regions(self, brokers):
        """Starts one broker a region, joined by gateways: {region: host}. A region alone has the configuration for one."""
        if len(brokers) == 1:
            for host in brokers.values():
                self.configure(host)
                self.start(host)
            return
        gateways = "\n".join(f'    {{ name: {region}, urls: [ "nats://{self.net.address(host)}:7222" ] }}' for region, host in brokers.items())
        for region, host in brokers.items():
            address = self.net.address(host)
            # The example's own text with this network's addresses: what is tested is what operators copy.
            site = (DEPLOY / "nats" / "site.example.conf").read_text()
            site = re.sub(r"gateways: \[.*?\n  \]", f"gateways: [\n{gateways}\n  ]", site, flags=re.S)
            site = re.sub(r"routes: \[.*?\]", f'routes: [ "nats://{address}:6222" ]', site).replace("name: eu\n", f"name: {region}\n").replace("0.0.0.0", address)
            self.configure(host, "several-regions", site, region)
            self.start(host)

    def log(self, name):
        # A broker that was started again by a cluster writes to the cluster's folder.
        paths = (self.folder / f"{name}.log", self.folder.parent / f"{name}.log")
        return "".join(p.read_text(errors="replace") for p in paths if p.exists())

    def wait(self, name):
        """Until the broker takes connections."""
        for _ in range(1500):
            assert self.processes[name].poll() is None, self.log(name)
            try:
                with self.net.inside(name):
                    connection = socket.create_connection((self.net.address(name), PORT), 1)
                with connection:
                    if connection.recv(4) == b"INFO":
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"{name} did not come up: {self.log(name)}")
