#!/usr/bin/env python3
"""What the path around a model costs: CPU of gateway and node a request, requests/s and added latency, beside nginx.

    bench/gateway.py [--verge build/release/verge] [--seconds 10] [--rounds 3]

Everything answers with the null engine (`verge serve --null-engine`), so that what is measured is not the model. Four ways in, interleaved:
  direct    one `verge serve`: API, router and node in one process
  nginx     nginx with keep-alive in front of that server
  cluster   a gateway in front of a node on another port, with NATS, TLS between both
  plain     the same without TLS (--insecure-cluster)
Needs nats-server, nginx and wrk (Debian packages of these names). Medians of the rounds; one wrk connection for latency and CPU, sixteen for requests/s."""
import argparse, json, os, re, shutil, socket, statistics, subprocess, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "../tests/data/models/stories260K/stories260K-f32.gguf")
TICK = os.sysconf("SC_CLK_TCK")


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_s(pid):
    """User and system time of a process, without its children, to 10 ms."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Bench:
    def __init__(self, verge):
        self.verge, self.folder, self.processes = os.path.abspath(verge), tempfile.mkdtemp(), {}

    def start(self, name, *command, cwd=None):
        log = open(f"{self.folder}/{name}.log", "w")
        self.processes[name] = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, cwd=cwd)

    def serve(self, name, *more):
        self.start(name, self.verge, "serve", "--data", f"{self.folder}/{name}", "--log-level", "warn", *more)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()
        shutil.rmtree(self.folder)

    def wait(self, at):
        body = json.dumps({"prompt": "x", "max_tokens": 1, "raw": True}).encode()
        for _ in range(200):
            try:
                urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{at}/client/v4/accounts/a/ai/run/@t/null", body)).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"nothing answers on {at}; see {self.folder}")

    def wrk(self, at, connections, seconds):
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", f"{self.folder}/post.lua",
                              f"http://127.0.0.1:{at}/client/v4/accounts/a/ai/run/@t/null"], capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in out or "Socket errors" in out:
            raise SystemExit(out)
        value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
        return {"requests": int(re.search(r"(\d+) requests in", out)[1]), "per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
                "p50_ms": float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verge", default=os.path.join(HERE, "../build/release/verge"))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bench = Bench(options.verge)
    try:
        with open(f"{bench.folder}/post.lua", "w") as f:
            f.write('wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = \'{"prompt": "Once upon a time", "max_tokens": 1, "raw": true}\'\n')
        ways = {name: port() for name in ("direct", "nginx", "cluster", "plain")}
        model = ("--model", f"@t/null={MODEL}", "--null-engine", "--threads", 1)
        bench.serve("direct", "--listen", f"127.0.0.1:{ways['direct']}", *model)
        with open(f"{bench.folder}/nginx.conf", "w") as f:
            f.write(f"""daemon off; worker_processes 1; pid {bench.folder}/nginx.pid; error_log {bench.folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {bench.folder}/b; proxy_temp_path {bench.folder}/p; fastcgi_temp_path {bench.folder}/f; uwsgi_temp_path {bench.folder}/u; scgi_temp_path {bench.folder}/s;
 upstream verge {{ server 127.0.0.1:{ways['direct']}; keepalive 64; }}
 server {{ listen 127.0.0.1:{ways['nginx']}; location / {{ proxy_pass http://verge; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}""")
        bench.start("nginx", "nginx", "-c", f"{bench.folder}/nginx.conf", "-e", f"{bench.folder}/nginx.err")
        # With TLS.
        keys = f"{bench.folder}/keys"
        for command in (["init", keys], ["join", keys, "--name", "n", "--region", "r", "--role", "node"], ["join", keys, "--name", "g", "--region", "r", "--role", "gateway"]):
            subprocess.run([bench.verge, "cluster", *command], check=True, capture_output=True)
        nats = port()
        conf = open(f"{keys}/nats/nats.conf").read().replace("0.0.0.0:4222", f"127.0.0.1:{nats}").replace("127.0.0.1:8222", f"127.0.0.1:{port()}")
        open(f"{keys}/nats/nats.conf", "w").write(conf)
        bench.start("nats", "nats-server", "-c", "nats.conf", cwd=f"{keys}/nats")
        tls = lambda name: ("--cluster", f"nats://127.0.0.1:{nats}", "--cluster-keys", f"{keys}/keys/{name}")
        bench.serve("cluster-node", "--role", "node", *tls("n"), "--listen", f"127.0.0.1:{port()}", *model)
        bench.serve("cluster-gateway", "--role", "gateway", *tls("g"), "--listen", f"127.0.0.1:{ways['cluster']}")
        # Without.
        nats = port()
        bench.start("nats-plain", "nats-server", "-js", "-sd", f"{bench.folder}/js", "-a", "127.0.0.1", "-p", nats)
        plain = ("--cluster", f"nats://127.0.0.1:{nats}", "--insecure-cluster", "--region", "r")
        bench.serve("plain-node", "--role", "node", *plain, "--name", "n", "--listen", f"127.0.0.1:{port()}", *model)
        bench.serve("plain-gateway", "--role", "gateway", *plain, "--name", "g", "--listen", f"127.0.0.1:{ways['plain']}")
        for way in ways.values():
            bench.wait(way)
        measured = {"direct": ["direct"], "nginx": ["nginx", "direct"], "cluster": ["cluster-gateway", "cluster-node"], "plain": ["plain-gateway", "plain-node"]}
        rows = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, at in ways.items():
                pids = [bench.processes[name].pid for name in measured[way]]
                if way == "nginx":
                    pids += [int(p) for p in subprocess.run(["pgrep", "-P", str(pids[0])], capture_output=True, text=True).stdout.split()]
                before = sum(map(cpu_s, pids))
                one = bench.wrk(at, 1, options.seconds)
                cpu_ms = (sum(map(cpu_s, pids)) - before) * 1000 / one["requests"]
                many = bench.wrk(at, 16, options.seconds)
                rows[way].append((cpu_ms, one["p50_ms"], many["per_s"], many["p50_ms"]))
        middle = {way: [statistics.median(column) for column in zip(*lines)] for way, lines in rows.items()}
        print("| way | CPU a request, ms | p50 of one, ms | added, ms | requests/s of 16 | p50 of 16, ms |\n|---|---|---|---|---|---|")
        for way, (cpu, p50, per_s, p50_many) in middle.items():
            print(f"| {way} | {cpu:.3f} | {p50:.3f} | {p50 - middle['direct'][1]:+.3f} | {per_s:.0f} | {p50_many:.2f} |")
    finally:
        bench.stop()


main()
