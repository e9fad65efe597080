"""A cluster for tests: brokers, gateways and nodes as processes on the hosts of a network (network.py), and clients that count.

Hosts of a region R: R-nats, R-gw, and for nodes R1, R2 …  A client sits beside its gateway and talks to it over that host's loopback."""
import http.client, json, os, pathlib, random, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from brokers import NATS_SERVER, PORT, Brokers
from network import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from harness import ACCOUNT, STORIES, VERGE, eventually, installed  # noqa: E402

MODEL = "@t/text"
# A real model where it has been pulled (NET_TEXT_FILE chooses another): slow enough that a killed node always has streams under way.
TEXT_FILE = os.environ.get("NET_TEXT_FILE") or installed("@verge/smollm2-135m-instruct") or f"{STORIES}/stories260K-f32.gguf"
NODE_PORT, GATEWAY_PORT = 8790, 8780
REGIONS = ("us", "eu", "asia")


def hosts(nodes=1, regions=REGIONS):
    out = {}
    for region in regions:
        out |= {f"{region}-nats": region, f"{region}-gw": region} | {f"{region}{i + 1}": region for i in range(nodes)}
    return out


class Answer:
    """What a client saw of one request."""

    def __init__(self):
        self.status, self.node, self.text, self.done, self.errors, self.first_s, self.failure, self.code = 0, None, "", 0, 0, None, "", None
        self.cached = 0  # tokens of the prompt that the node had already; of answers that come whole

    @property
    def whole(self):
        return self.status == 200 and self.done == 1 and self.errors == 0 and not self.failure

    @property
    def honest(self):
        """One error instead of the rest: as a status, or as the stream's last event."""
        return not self.failure and (self.errors == 1 and self.done == 0 if self.status == 200 else self.status >= 400)

    def __repr__(self):
        return f"<{self.status} {self.node} done={self.done} errors={self.errors} {self.failure} {self.code} {self.text[-160 if self.code else -40:]!r}>"


class Cluster:
    def __init__(self, net, folder, secure=None):
        self.net, self.folder = net, pathlib.Path(folder)
        self.secure = net.distances if secure is None else secure
        self.brokers = Brokers(net, self.folder / "brokers") if self.secure else None
        self.processes, self.commands, self.hosts, self.urls = {}, {}, {}, {}

    # --- starting ---

    def start_brokers(self, regions=REGIONS):
        """Brokers of all regions, joined by gateways; without keys one broker for all."""
        if self.secure:
            self.brokers.regions({r: f"{r}-nats" for r in regions})
            for region in regions:
                name = f"{region}-nats"
                self.brokers.wait(name)
                self.commands[name], self.hosts[name] = ([NATS_SERVER, "-c", str(self.brokers.file(name))], self.brokers.environments[name]), name
                self.processes[name] = self.brokers.processes[name]
        else:
            for region in regions[:1]:
                self.start_open_broker(f"{region}-nats")
        first = f"{regions[0]}-nats"
        self.urls = {r: f"nats://{self.net.address(f'{r}-nats' if self.secure else first)}:{PORT}" for r in regions}

    def start_open_broker(self, host):
        self._spawn(host, host, [NATS_SERVER, "-a", self.net.address(host), "-p", str(PORT), "-js", "-sd", str(self.folder / f"{host}-store")])
        eventually(lambda: "Server is ready" in self.log(host))

    def _keys(self, name, region, role):
        if not self.secure:
            return ["--insecure-cluster"]
        keys = self.brokers.folder / "keys" / name
        if not keys.exists():
            self.brokers.join(name, region, role)
        return ["--cluster-keys", str(keys)]

    def _spawn(self, name, host, command, env=None):
        self.commands[name], self.hosts[name] = (command, env), host
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = self.net.start(host, command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **(env or {})})
        return self.processes[name]

    def start_node(self, name, host=None, region=None, models=None, options=(), cluster=None, env=None, keys=None):
        host = host or name
        region = region or self.net.hosts[host]
        address = f"{self.net.address(host)}:{NODE_PORT}"
        command = [VERGE, "serve", "--role", "node", "--cluster", cluster or self.urls[self.net.hosts[host]], "--name", name, "--region", region, "--listen", address, "--advertise", address,
                   "--data", str(self.folder / "data" / name), "--threads", "1", "--hung-after", "10"]
        for model in [f"{MODEL}={TEXT_FILE}"] if models is None else models:
            command += ["--model", model, "--preload", model.split("=")[0]]
        # Models that happen to be on this machine are none of the cluster's, unless a test says so.
        env = {"VERGE_MODELS": str(self.folder / "no-models"), **(env or {})}
        return self._spawn(name, host, command + (keys or self._keys(name, region, "node")) + list(options), env)

    def start_gateway(self, region, name=None, host=None, options=(), cluster=None, env=None):
        host = host or f"{region}-gw"
        name = name or host
        command = [VERGE, "serve", "--role", "gateway", "--cluster", cluster or self.urls[region], "--name", name, "--region", region, "--listen", f"{self.front(host)}:{GATEWAY_PORT}",
                   "--data", str(self.folder / "data" / name), "--drain-delay", "0"]
        return self._spawn(name, host, command + self._keys(name, region, "gateway") + list(options), env)

    def start(self, nodes=1, regions=REGIONS, node_options=()):
        """All of it, and waits until every gateway sees every node."""
        self.start_brokers(regions)
        names = [f"{r}{i + 1}" for r in regions for i in range(nodes)]
        for name in names:
            self.start_node(name, options=node_options)
        for region in regions:
            self.start_gateway(region)
        for region in regions:
            self.wait_for(f"{region}-gw", names)
        return self

    def again(self, name):
        """Starts what was started before under this name."""
        command, env = self.commands[name]
        process = self._spawn(name, self.hosts[name], command, env)
        if self.brokers and name in self.brokers.processes:
            self.brokers.processes[name] = process
        return process

    # --- ending, pausing ---

    def _pids(self, name):
        """The process and its descendants."""
        pids, todo = [], [self.processes[name].pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += map(int, open(f"/proc/{pid}/task/{task}/children").read().split())
            except OSError:
                pass
        return pids

    def signal(self, name, number):
        """To the process and all its descendants, as if it happened to the machine."""
        for pid in self._pids(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self, name):
        self.signal(name, signal.SIGKILL)
        self.processes[name].wait()

    def terminate(self, name):
        """SIGTERM to the process alone; seconds until it has ended, and its exit status."""
        began = time.monotonic()
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes[name].wait(), time.monotonic() - began

    def close(self):
        for name, process in self.processes.items():
            if process.poll() is None:
                self.signal(name, signal.SIGCONT)
                self.signal(name, signal.SIGKILL)
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log(self, name):
        if self.brokers and name in self.brokers.processes:
            return self.brokers.log(name)
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- asking ---

    def front(self, host):
        """Where a gateway listens for clients: its own loopback."""
        return "127.0.0.1" if self.net.distances else self.net.address(host)

    def connection(self, gateway, timeout=120):
        return self.net.http(self.hosts[gateway], (self.front(self.hosts[gateway]), GATEWAY_PORT), timeout)

    def get(self, gateway, path):
        connection = self.connection(gateway, 20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def nodes(self, gateway):
        """As `verge nodes --json` prints them: {name: row}."""
        command = self.net.command(self.hosts[gateway], [VERGE, "nodes", "--json", "--server", f"http://{self.front(self.hosts[gateway])}:{GATEWAY_PORT}"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            return {}
        return {row["name"]: row for row in json.loads(done.stdout)}

    def wait_for(self, gateway, names, state="up"):
        """Until the gateway sees these nodes in this state, and those that are up with their models loaded."""
        def check():
            for name in (gateway, *[n for n in names if state == "up"]):
                if name in self.processes and self.processes[name].poll() is not None:
                    raise AssertionError(f"{name} ended: {self.log(name)[-2000:]}")
            rows = self.nodes(gateway)
            loaded = {n: all(m["state"] == "ready" for m in rows.get(n, {}).get("models", []) if m["id"].startswith("@t/")) for n in names}
            return all(rows.get(n, {}).get("state") == state and (loaded[n] or state != "up") for n in names)
        eventually(check)

    def ask(self, gateway, seed=1, tokens=60, stream=True, model=MODEL, on_event=None, inputs=None, headers=None, timeout=120):
        """One request; never raises. on_event(count, answer) after each event of a stream."""
        answer, began = Answer(), time.monotonic()
        body = inputs if inputs is not None else {"prompt": "Once upon a time", "raw": True, "max_tokens": tokens, "temperature": 0.9, "seed": seed, "stream": stream}
        connection = self.connection(gateway, timeout)
        try:
            connection.request("POST", f"{ACCOUNT}/run/{model}", body if isinstance(body, bytes) else json.dumps(body), {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            answer.status, answer.node = response.status, response.getheader("verge-node")
            if "event-stream" not in (response.getheader("content-type") or ""):
                self._whole(answer, response.read())
            else:
                self._events(answer, response, began, on_event)
        except (OSError, http.client.HTTPException) as error:
            answer.failure = repr(error)
        finally:
            connection.close()
        return answer

    @staticmethod
    def _whole(answer, body):
        try:
            value = json.loads(body)
        except ValueError:
            answer.failure = f"no JSON: {body[:100]!r}"
            return
        if answer.status == 200:
            result = value["result"]
            answer.text, answer.done = result["response"] if isinstance(result, dict) and "response" in result else json.dumps(result), 1
            usage = result.get("usage") if isinstance(result, dict) else None
            answer.cached = ((usage or {}).get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        else:
            answer.text, answer.code = value["errors"][0]["message"], value["errors"][0]["code"]

    @staticmethod
    def _events(answer, response, began, on_event):
        count = 0
        for line in response:
            line = line.decode().strip()
            if not line.startswith("data: "):
                continue
            if answer.done or answer.errors:
                answer.failure = f"something after the last event: {line[:100]}"
            if line == "data: [DONE]":
                answer.done += 1
                continue
            event = json.loads(line[6:])
            if event.get("errors") or event.get("error"):
                answer.errors += 1
                answer.code = str(event.get("errors") or event.get("error"))
                continue
            if answer.first_s is None:
                answer.first_s = time.monotonic() - began
            answer.text += event.get("response") or ""
            count += 1
            if on_event:
                on_event(count, answer)
        if not answer.done and not answer.errors:
            answer.failure = "the stream just ended"

    def ask_many(self, jobs, at_once=32):
        """jobs: keyword arguments of ask(). Answers in the order of the jobs."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda job: self.ask(**job), jobs))


class Load:
    """Clients that go on asking at each gateway until they are stopped. Every answer is compared with what an undisturbed node said."""

    def __init__(self, cluster, gateways, want, clients=2, tokens=60):
        self.cluster, self.want, self.tokens = cluster, want, tokens
        self.answers, self._stop, self._lock = [], threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(g, i)) for g in gateways for i in range(clients)]

    def _client(self, gateway, number):
        rng = random.Random(f"{gateway}{number}")
        while not self._stop.is_set():
            seed = rng.choice(list(self.want))
            answer = self.cluster.ask(gateway, seed, self.tokens, stream=rng.random() < 0.7)
            with self._lock:
                self.answers.append((gateway, seed, answer))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count):
        """Waits for so many answers more."""
        goal = len(self.answers) + count
        eventually(lambda: len(self.answers) >= goal)

    def wrong(self):
        return [(g, s, a) for g, s, a in self.answers if not a.whole or a.text != self.want[s]]


def undisturbed(cluster, gateway, seeds, tokens=60):
    """seed -> text, asked in peace."""
    answers = cluster.ask_many([{"gateway": gateway, "seed": s, "tokens": tokens} for s in seeds], 8)
    assert all(a.whole for a in answers), answers
    return dict(zip(seeds, (a.text for a in answers)))
