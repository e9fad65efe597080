"""A broker, a gateway and a node in each of three regions, clients that keep asking, and a map of who answers. Keys kill things."""
import argparse, os, pathlib, re, select, shutil, sys, tempfile, termios, threading, time, tty
from collections import deque

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "net"))
from cluster import REGIONS, TEXT_FILE, Cluster, hosts  # noqa: E402
from network import THREE_REGIONS, Loopback, Network, unavailable  # noqa: E402

PLACES = {"us": "Virginia", "eu": "Frankfurt", "asia": "Singapore"}
NODES = [f"{r}1" for r in REGIONS]
TOKENS = 48
COLOURS = {"us": 34, "eu": 32, "asia": 35}


def colour(text, code):
    return f"\033[{code}m{text}\033[0m"


class Clients:
    """One client a region, beside its gateway: asks the same again and again, and compares with what was said in peace."""

    def __init__(self, cluster, want):
        self.cluster, self.want = cluster, want
        self.last, self.counts, self.wrong = deque(maxlen=8), {r: {} for r in REGIONS}, 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(r,), daemon=True) for r in REGIONS]
        for thread in self._threads:
            thread.start()

    def _ask(self, region):
        while not self._stop.wait(0.5):
            seen = {"region": region, "text": "", "node": None, "answer": None, "at": time.strftime("%H:%M:%S")}
            self.last.append(seen)

            def progress(_, answer):
                seen["text"], seen["node"] = answer.text, answer.node
            answer = self.cluster.ask(f"{region}-gw", 1, TOKENS, on_event=progress)
            seen["answer"], seen["node"] = answer, answer.node
            self.counts[region][answer.node] = self.counts[region].get(answer.node, 0) + 1
            self.wrong += not answer.whole or answer.text != self.want

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Screen:
    def __init__(self, cluster, clients):
        self.cluster, self.clients = cluster, clients
        self.frozen, self.brokers_up, self.cut = set(), True, None

    def node_line(self, name, rows):
        if self.cluster.processes[name].poll() is not None:
            return colour("x", 31) + f" {name} killed"
        if name in self.frozen:
            return colour("~", 33) + f" {name} frozen"
        state = rows.get(name, {}).get("state", "unknown")
        return colour("o", 32 if state == "up" else 33) + f" {name} {state}"

    def text(self):
        width, plain = 26, re.compile(r"\033\[\d+m")

        def cells(values):
            return "".join(v + " " * max(1, width - len(plain.sub("", v))) for v in values) + "\n"
        rows = {r: self.cluster.nodes(f"{r}-gw") for r in REGIONS}
        out = "\033[H\033[2J\n  " + cells([colour(f"{r}  {PLACES[r]}", COLOURS[r]) for r in REGIONS])
        out += "  " + cells([self.node_line(f"{r}1", rows[r]) for r in REGIONS])
        out += "  " + cells([colour("cut off", 31) if self.cut == r else "" for r in REGIONS])
        out += "\n  who answered, by where it was asked\n"
        for r in REGIONS:
            counts = sorted(self.clients.counts[r].items(), key=lambda c: -c[1])
            out += f"  {colour(r.ljust(5), COLOURS[r])} " + "   ".join(f"{n} {c}" for n, c in counts) + "\n"
        out += "\n  the last answers\n"
        for seen in list(self.clients.last):
            answer = seen["answer"]
            state = "..." if answer is None else "" if answer.whole else colour("FAILED", 31)
            text = seen["text"].replace("\n", " ")[-(shutil.get_terminal_size().columns - 40):] if sys.stdout.isatty() else seen["text"]
            out += f"  {seen['at']} {colour(seen['region'].ljust(5), COLOURS[seen['region']])} <- {(seen['node'] or '').ljust(6)} {text} {state}\n"
        total = sum(sum(c.values()) for c in self.clients.counts.values())
        out += f"\n  {total} answers, {self.clients.wrong} wrong or failed      brokers {'up' if self.brokers_up else colour('killed', 31)}\n\n"
        keys = "  ".join(f"{i + 1} {n}" for i, n in enumerate(NODES))
        return out + f"  kill or start: {keys}\n  f freeze what serves eu   c cut asia off   n kill all brokers   q end\n"

    def press(self, key):
        c = self.cluster
        if key in "123":
            name = NODES[int(key) - 1]
            if c.processes[name].poll() is None:
                self.frozen.discard(name)
                c.kill(name)
            else:
                c.again(name)
        elif key == "f":
            for name in list(self.frozen):
                c.signal(name, 18)
            if not self.frozen:
                serving = next((s["node"] for s in reversed(self.clients.last) if s["region"] == "eu" and s["node"] in NODES), "eu1")
                c.signal(serving, 19)
                self.frozen = {serving}
            else:
                self.frozen = set()
        elif key == "c" and c.net.distances:
            self.cut = None if self.cut else "asia"
            if self.cut:
                c.net.isolate([h for h, r in c.net.hosts.items() if r == "asia"])
            else:
                c.net.heal()
        elif key == "n":
            for name in [p for p in c.processes if p.endswith("-nats")]:
                c.kill(name) if self.brokers_up else c.again(name)
            self.brokers_up = not self.brokers_up


def watch(cluster, want):
    clients = Clients(cluster, want)
    screen = Screen(cluster, clients)
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        while True:
            print(screen.text(), end="", flush=True)
            if select.select([sys.stdin], [], [], 0.5)[0]:
                key = sys.stdin.read(1)
                if key in ("q", ""):
                    return 0
                screen.press(key)
    except KeyboardInterrupt:
        return 0
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        clients.stop()


def once(cluster, want):
    """The same without a screen: every region is asked, the node that serves eu is killed in mid-answer, and started again."""
    good = True
    for region in REGIONS:
        answer = cluster.ask(f"{region}-gw", 1, TOKENS)
        near = answer.node.rstrip("1") == region
        good &= answer.whole and answer.text == want and near
        print(f"asked in {region}: answered by {answer.node}")
    killed = []

    def kill(count, answer):
        if count == 8:
            killed.append(answer.node)
            cluster.kill(answer.node)
    answer = cluster.ask("eu-gw", 1, TOKENS, on_event=kill)
    same = answer.whole and answer.text == want and bool(killed)
    print(f"{killed[0] if killed else 'nobody'} killed at the eighth token of an answer: the client's text is {'the same, byte for byte' if same else f'another: {answer}'}")
    after = cluster.ask("eu-gw", 1, TOKENS)
    print(f"asked again: answered by {after.node}")
    good &= same and after.whole and after.text == want and after.node not in killed
    for node in killed:
        cluster.again(node)
        cluster.wait_for("eu-gw", [node])
        print(f"{node} is back")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="no screen: start, kill a node in mid-answer, compare, end")
    parser.add_argument("--loopback", action="store_true", help="no namespaces, no distances, no keys")
    options = parser.parse_args()
    if not options.once and not sys.stdin.isatty():
        parser.error("the map needs a terminal; --once does without")
    why = "asked for" if options.loopback else unavailable()
    print("Starting three brokers, gateways and nodes" + (f", on loopback addresses without distances ({why})" if why else f", with round trips of {', '.join(f'{a}-{b} {ms} ms' for (a, b), ms in THREE_REGIONS.items())}"))
    print(f"Every node serves {os.path.basename(TEXT_FILE)}", flush=True)
    of = hosts(nodes=1)
    with tempfile.TemporaryDirectory(prefix="verge-three-regions-") as folder, (Loopback(of) if why else Network(of, THREE_REGIONS)) as net, Cluster(net, folder) as cluster:
        cluster.start(nodes=1)
        want = cluster.ask("eu-gw", 1, TOKENS).text
        return once(cluster, want) if options.once else watch(cluster, want)


if __name__ == "__main__":
    sys.exit(main())
