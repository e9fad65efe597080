#!/usr/bin/env python3
"""Time to first token when many chats arrive at once, Verge beside llama.cpp's server, in interleaved rounds.
usage: first_tokens.py --llama-server PATH [--verge V] [--chats 16] [--rounds 5] MODEL.gguf
Both servers run on loopback with two threads, 16 slots and the same file. Each chat has a prompt of its own of about
128 tokens and wants 32 new ones, through /v1/chat/completions with stream: true. Prints medians over the rounds."""
import argparse, http.client, json, os, random, shutil, socket, statistics, subprocess, tempfile, threading, time
p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("model"); p.add_argument("--llama-server", required=True); p.add_argument("--verge", default="build/release/verge")
p.add_argument("--chats", type=int, default=16); p.add_argument("--rounds", type=int, default=5); p.add_argument("--threads", type=int, default=2)
a = p.parse_args()
WORDS = "time year people way day man thing woman life child world school state family student group country problem hand part place case week company system program question work government number night point home water room mother area money story fact month lot right study book eye job word business issue side kind head house service friend father power hour game line end member law car city community name president team minute idea kid body information back parent face others level office door health person art war history party result change morning reason research girl guy moment air teacher force education".split()

def port():
    with socket.socket() as s: s.bind(("127.0.0.1", 0)); return s.getsockname()[1]
class Server:
    def __init__(self, name, command, port, model, ready):
        self.name, self.port, self.model = name, port, model
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None: raise SystemExit(f"{name} ended")
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=5); c.request("GET", ready)
                if c.getresponse().status == 200: break
            except OSError: pass
            time.sleep(0.1)
    def chat(self, prompt, start, times, i):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "stream": True, "max_tokens": 32, "temperature": 0}
        start.wait(); t = time.perf_counter()
        c.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        r = c.getresponse(); assert r.status == 200, r.read()
        for line in r:
            if not line.startswith(b"data: {"): continue
            choices = json.loads(line[6:]).get("choices") or [{}]
            if choices[0].get("delta", {}).get("content"): times[i] = times[i] or time.perf_counter() - t
        ends[i] = time.perf_counter() - t
    def round(self, prompts):
        times, start = [None] * len(prompts), threading.Event()
        threads = [threading.Thread(target=self.chat, args=(q, start, times, i)) for i, q in enumerate(prompts)]
        for t in threads: t.start()
        time.sleep(0.2); start.set()
        for t in threads: t.join()
        assert all(times), "a chat had no token"
        return statistics.median(times), max(times), max(ends.values())
ends = {}
data = tempfile.mkdtemp(); v, l = port(), port()
servers = [
    Server("Verge", [a.verge, "serve", "--listen", f"127.0.0.1:{v}", "--data", data, "--model", f"@bench/model={a.model}"], v, "@bench/model", "/readyz"),
    Server("llama.cpp", [a.llama_server, "-m", a.model, "--port", str(l), "-np", str(a.chats), "-c", str(a.chats * 512), "-t", str(a.threads), "-tb", str(a.threads), "--no-webui"], l, "model", "/health")]
try:
    pick = random.Random(1)
    prompts = lambda n: [" ".join(pick.choice(WORDS) for _ in range(100)) for _ in range(n)]
    for s in servers: s.round(prompts(1))  # loads the model
    got = {s.name: [] for s in servers}
    for r in range(a.rounds):
        asked = prompts(a.chats)
        for s in servers if r % 2 == 0 else servers[::-1]: ends.clear(); got[s.name].append(s.round(asked))
    print(f"{a.chats} chats at once, {os.path.basename(a.model)}, s\n\n| | Verge | llama.cpp | ratio |\n|---|---|---|---|")
    for i, what in enumerate(("median first token", "last first token", "all answered")):
        x, y = ([row[i] for row in got[n]] for n in ("Verge", "llama.cpp"))
        print(f"| {what} | {statistics.median(x):.2f} ({min(x):.2f}–{max(x):.2f}) | {statistics.median(y):.2f} ({min(y):.2f}–{max(y):.2f}) | {statistics.median([b and c / b for c, b in zip(x, y)]):.2f} × |")
finally:
    for s in servers: s.process.terminate()
    for s in servers: s.process.wait()
    shutil.rmtree(data, ignore_errors=True)
