#!/usr/bin/env python3
"""The peer's side of compare.py: llama.cpp through llama-cpp-python's low-level API, with the same tests and
the same output lines as `verge bench PATH --json`.
usage: peer_llama.py MODEL.gguf [--threads N] [--tests load,prefill,decode,batch]
Needs: pip install llama-cpp-python (CMAKE_ARGS=-DGGML_NATIVE=ON, --no-binary llama-cpp-python)."""
import argparse, ctypes, json, os, resource, statistics, sys, time
import llama_cpp as L

p = argparse.ArgumentParser()
p.add_argument("model"); p.add_argument("--threads", type=int, default=os.cpu_count()); p.add_argument("--tests", default="load,prefill,decode,batch")
a = p.parse_args(); tests = a.tests.split(",")

QUIET = L.llama_log_callback(lambda level, text, data: None)
L.llama_log_set(QUIET, ctypes.c_void_p(0)); L.llama_backend_init()
t0 = time.perf_counter()
mp = L.llama_model_default_params()
model = L.llama_model_load_from_file(a.model.encode(), mp)
if not model: sys.exit("cannot load " + a.model)
vocab = L.llama_model_get_vocab(model); n_vocab = L.llama_vocab_n_tokens(vocab)

def context(n_ctx, n_seq, n_ubatch=512):
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_seq_max, cp.n_threads, cp.n_threads_batch, cp.no_perf = n_ctx, 2048, n_ubatch, n_seq, a.threads, a.threads, True
    try: cp.kv_unified = True
    except AttributeError: pass
    return L.llama_init_from_model(model, cp)
def decode(ctx, rows):  # rows: (token, pos, seq, want logits)
    b = L.llama_batch_init(len(rows), 0, 1)
    for i, (t, pos, s, w) in enumerate(rows):
        b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, pos, 1, w; b.seq_id[i][0] = s
    b.n_tokens = len(rows)
    t = time.perf_counter(); rc = L.llama_decode(ctx, b); L.llama_synchronize(ctx); t = time.perf_counter() - t
    L.llama_batch_free(b)
    if rc: sys.exit(f"llama_decode: {rc}")
    return t
def token(i): return (i * 7919 + 13) % n_vocab
def line(**k): print(json.dumps(k), flush=True)

ctx = context(1024, 1); decode(ctx, [(token(0), 0, 0, 1)])
if "load" in tests: line(test="load", tokens=1, sequences=1, tokens_per_s=0, p50_ms=round((time.perf_counter() - t0) * 1e3, 2))
mem = L.llama_get_memory(ctx)
if "prefill" in tests:
    L.llama_memory_clear(mem, True); decode(ctx, [(token(i), i, 0, i == 511) for i in range(512)])
    L.llama_memory_clear(mem, True); t = decode(ctx, [(token(i), i, 0, i == 511) for i in range(512)])
    line(test="prefill", tokens=512, sequences=1, tokens_per_s=round(512 / t, 2), p50_ms=round(t * 1e3, 3))
if "decode" in tests:
    L.llama_memory_clear(mem, True); decode(ctx, [(token(i), i, 0, i == 15) for i in range(16)])
    ts = [decode(ctx, [(token(i), 16 + i, 0, 1)]) for i in range(48)]
    line(test="decode", tokens=48, sequences=1, tokens_per_s=round(len(ts) / sum(ts), 2), p50_ms=round(statistics.median(ts) * 1e3, 3))
L.llama_free(ctx)
if "batch" in tests:
    for n in (8, 16, 32):
        ctx = context(n * 64, n)
        decode(ctx, [(token(s * 31 + i), i, s, i == 15) for s in range(n) for i in range(16)])
        ts = [decode(ctx, [(token(s * 17 + i), 16 + i, s, 1) for s in range(n)]) for i in range(16)]
        line(test="batch", tokens=16 * n, sequences=n, tokens_per_s=round(n * len(ts) / sum(ts), 2), p50_ms=round(statistics.median(ts) * 1e3, 3))
        L.llama_free(ctx)
line(test="memory", tokens=0, sequences=0, tokens_per_s=0, p50_ms=0, peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
