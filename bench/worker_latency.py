#!/usr/bin/env python3
"""What a Worker adds to a request: the same call straight to the server and through `verge dev`, and 1,000 of them with random aborts.
usage: worker_latency.py [--verge build/release/verge] [--requests 1000] MODEL.gguf
One line of JSON a test: p50 and p99 of each path in ms (one token of the model, 8 connections in turn, interleaved), then
what is left of processes' descriptors and requests in flight after the aborts."""
import argparse, http.client, json, os, pathlib, random, signal, socket, statistics, subprocess, tempfile, threading, time
p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("model"); p.add_argument("--verge", default="build/release/verge"); p.add_argument("--requests", type=int, default=1000)
a = p.parse_args(); verge = os.path.abspath(a.verge)
SOURCE = """export default { async fetch(request, env) {
  const { tokens, stream } = await request.json();
  const answer = await env.AI.run("@b/model", { prompt: "Once", raw: true, max_tokens: tokens, temperature: 0, stream, ignore_eos: true });
  return stream ? new Response(answer) : Response.json(answer);
} }"""
def free():
    with socket.socket() as s: s.bind(("127.0.0.1", 0)); return s.getsockname()[1]
def wait(port, path):
    while True:
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=5); c.request("GET", path); c.getresponse().read(); return
        except OSError: time.sleep(0.05)
folder = pathlib.Path(tempfile.mkdtemp()); (folder / "w" / "src").mkdir(parents=True)
(folder / "w" / "src" / "index.js").write_text(SOURCE)
(folder / "w" / "wrangler.toml").write_text('name = "w"\nmain = "src/index.js"\ncompatibility_date = "2026-01-01"\n[ai]\nbinding = "AI"\n')
s, d = free(), free()
server = subprocess.Popen([verge, "serve", "--listen", f"127.0.0.1:{s}", "--data", str(folder / "data"), "--model", f"@b/model={os.path.abspath(a.model)}", "--log-level", "warn"])
wait(s, "/readyz")
dev = subprocess.Popen([verge, "dev", str(folder / "w"), "--port", str(d), "--server", f"http://127.0.0.1:{s}", "--log-level", "error"], stdout=subprocess.DEVNULL)
wait(d, "/")
def direct(c, tokens): c.request("POST", "/client/v4/accounts/a/ai/run/@b/model", json.dumps({"prompt": "Once", "raw": True, "max_tokens": tokens, "temperature": 0}), {"content-type": "application/json"}); return c.getresponse().read()
def worker(c, tokens): c.request("POST", "/", json.dumps({"tokens": tokens, "stream": False}), {"content-type": "application/json"}); return c.getresponse().read()
def timed(f, c):
    t = time.perf_counter(); body = f(c, 1); t = time.perf_counter() - t
    assert b"response" in body, body
    return t * 1e3
def descriptors(pid):
    total, todo = 0, [pid]; parents = {}
    for e in os.listdir("/proc"):
        try:
            if e.isdigit(): parents[int(e)] = int(open(f"/proc/{e}/stat").read().rpartition(")")[2].split()[1])
        except OSError: pass
    while todo:
        one = todo.pop(); total += len(os.listdir(f"/proc/{one}/fd")); todo += [c for c, q in parents.items() if q == one]
    return total
try:
    cs, cd = http.client.HTTPConnection("127.0.0.1", s), http.client.HTTPConnection("127.0.0.1", d)
    for _ in range(20): timed(direct, cs); timed(worker, cd)
    x, y = [], []
    for i in range(a.requests): x.append(timed(direct, cs)); y.append(timed(worker, cd))
    q = lambda v, f: round(sorted(v)[int(len(v) * f)], 3)
    for name, v in (("direct", x), ("worker", y)): print(json.dumps({"test": "latency", "path": name, "p50_ms": q(v, 0.5), "p99_ms": q(v, 0.99)}))
    print(json.dumps({"test": "added", "p50_ms": round(statistics.median(b - c for c, b in zip(x, y)), 3)}))
    # Streams, half of them cut at a random point.
    # Three times over: kept connections make the first number of descriptors larger than none, not the later ones.
    counts, pick, fds = {"whole": 0, "cut": 0, "wrong": 0}, random.Random(1), [(descriptors(server.pid), descriptors(dev.pid))]
    def run(n):
        for _ in range(n):
            c = http.client.HTTPConnection("127.0.0.1", d, timeout=60); cut = pick.random() < 0.5
            c.request("POST", "/", json.dumps({"tokens": 40, "stream": True}), {"content-type": "application/json"}); r = c.getresponse()
            if cut: r.read(pick.randrange(1, 1500)); c.close(); counts["cut"] += 1; continue
            counts["whole" if r.read().rstrip().endswith(b"[DONE]") else "wrong"] += 1; c.close()
    def in_flight():
        c = http.client.HTTPConnection("127.0.0.1", s); c.request("GET", "/verge/v1/status"); return sum(m.get("in_flight", 0) for m in json.load(c.getresponse())["models"])
    for _ in range(3):
        threads = [threading.Thread(target=run, args=(a.requests // 8,)) for _ in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        for _ in range(100):
            if in_flight() == 0: break
            time.sleep(0.1)
        time.sleep(1); fds.append((descriptors(server.pid), descriptors(dev.pid)))
    print(json.dumps({"test": "aborts", **counts, "in_flight": in_flight(), "descriptors_server": [f[0] for f in fds], "descriptors_worker": [f[1] for f in fds]}))
finally:
    for one in (dev, server): one.send_signal(signal.SIGTERM)
    for one in (dev, server): one.wait()
    subprocess.run(["rm", "-rf", str(folder)])
