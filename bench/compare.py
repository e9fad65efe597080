#!/usr/bin/env python3
"""Verge beside llama.cpp on the same GGUF files: interleaved rounds, medians, ratios.
usage: compare.py [--verge build/release/verge] [--probe build/release/machine_probe] [--peer-python PYTHON]
                  [--rounds N] [--tests load,prefill,decode,batch] [--out FILE.md] MODEL.gguf...
Each round runs, for each model, the probe, Verge, the peer (the order alternates), and the probe again; a decode
figure counts for "near" or "far" only if both probes agree. The peer is bench/peer_llama.py under PYTHON."""
import argparse, json, os, statistics, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("models", nargs="+"); p.add_argument("--verge", default="build/release/verge"); p.add_argument("--probe", default="build/release/machine_probe")
p.add_argument("--peer-python", default=sys.executable); p.add_argument("--rounds", type=int, default=5); p.add_argument("--threads", type=int, default=2)
p.add_argument("--tests", default="load,prefill,decode,batch"); p.add_argument("--out")
a = p.parse_args()

def lines(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=900)
    if r.returncode: sys.exit(f"{' '.join(cmd)}\n{r.stderr[-800:]}")
    return [json.loads(l) for l in r.stdout.splitlines() if l.startswith("{")]
def probe(): return lines([a.probe])[0]
def verge(m): return lines([a.verge, "bench", m, "--json", "--threads", str(a.threads), "--repeat", "1", "--tests", a.tests])
def peer(m): return lines([a.peer_python, os.path.join(here, "peer_llama.py"), m, "--threads", str(a.threads), "--tests", a.tests])
def key(x): return (x["test"], x["sequences"])

data = {}   # (model, key, engine) -> [(value, placement, bandwidth)]
def add(m, eng, rows, place, gbps):
    for x in rows:
        if x["test"] == "load": v = x["p50_ms"]
        elif x["test"] == "memory": v = x["peak_mib"]
        elif x["test"] in ("prefill", "decode", "batch"): v = x["tokens_per_s"]
        else: continue
        data.setdefault((m, key(x), eng), []).append((v, place, gbps, x))
for r in range(a.rounds):
    for m in a.models:
        before = probe()
        order = [("verge", verge), ("llama.cpp", peer)]
        got = [(n, f(m)) for n, f in (order if r % 2 == 0 else order[::-1])]
        after = probe()
        place = before["placement"] if before["placement"] == after["placement"] else "moved"
        for n, rows in got: add(m, n, rows, place, (before["read_gbps"] + after["read_gbps"]) / 2)
        print(f"round {r + 1}: {os.path.basename(m)} ({place})", file=sys.stderr)

def med(v): return statistics.median(v)
out = []
def cell(rs): v = [x[0] for x in rs]; return f"{med(v):.1f} ({min(v):.1f}–{max(v):.1f})"
for m in a.models:
    out.append(f"\n### {os.path.basename(m)}\n\n| test | Verge | llama.cpp | ratio |\n|---|---|---|---|")
    keys = [k for (mm, k, e) in data if mm == m and e == "verge" and (m, k, "llama.cpp") in data]
    for k in keys:
        v, l = data[(m, k, "verge")], data[(m, k, "llama.cpp")]
        name = {"load": "start to first token, ms", "memory": "peak memory, MiB", "prefill": "prefill of 512, tok/s", "decode": "decode, tok/s", "batch": f"{k[1]} sequences, tok/s"}[k[0]]
        ratio = med([x[0] / y[0] for x, y in zip(v, l)])
        out.append(f"| {name} | {cell(v)} | {cell(l)} | {ratio:.2f} × |")
        if k[0] == "decode":
            for place in ("near", "far"):
                vs, ls = [x for x in v if x[1] == place], [x for x in l if x[1] == place]
                if not vs: continue
                byts = vs[0][3].get("bytes_per_token", 0)
                share = f", {med([x[0] * byts / 1e9 / x[2] for x in vs]) * 100:.0f} % of the bandwidth" if byts else ""
                out.append(f"| – cores {place} ({len(vs)} of {len(v)} rounds){share} | {cell(vs)} | {cell(ls)} | {med([x[0] / y[0] for x, y in zip(vs, ls)]):.2f} × |")
text = "\n".join(out) + "\n"
print(text)
if a.out:
    with open(a.out, "w") as f: f.write(text)
