#!/usr/bin/env python3
"""How far a quantised model's next-token distribution is from the same weights in f32, for Verge and llama.cpp.
usage: divergence.py [--verge V] [--logits build/release/logits] [--tokens 2000] TEXT MODEL.gguf...
Prints, for each model, the mean Kullback-Leibler divergence in nats of the f32 distribution from each engine's,
KL(f32 || engine), over the first N tokens of TEXT, and how often the most likely token is the same. The f32
distribution is Verge's with weights expanded to f32 and an f32 cache (tests hold it to 1e-4 of transformers).
Run it with the Python that has numpy and llama-cpp-python."""
import argparse, ctypes, os, subprocess, tempfile
import numpy as np, llama_cpp as L
p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("text"); p.add_argument("models", nargs="+"); p.add_argument("--tokens", type=int, default=2000)
p.add_argument("--verge", default="build/release/verge"); p.add_argument("--logits", default="build/release/logits")
a = p.parse_args()
QUIET = L.llama_log_callback(lambda level, text, data: None)
L.llama_log_set(QUIET, ctypes.c_void_p(0)); L.llama_backend_init()

def verge(model, ids, n_vocab, *options):
    f = tempfile.NamedTemporaryFile(delete=False)
    subprocess.run([a.logits, model, *options], input=" ".join(map(str, ids)).encode(), stdout=f, check=True); f.close()
    x = np.fromfile(f.name, np.float32).reshape(len(ids), -1); os.unlink(f.name)
    return x
def peer(path, ids):
    mp = L.llama_model_default_params(); model = L.llama_model_load_from_file(path.encode(), mp)
    n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    cp = L.llama_context_default_params(); cp.n_ctx = len(ids) + 64; cp.n_batch = cp.n_ubatch = 512; cp.n_threads = cp.n_threads_batch = os.cpu_count()
    ctx = L.llama_init_from_model(model, cp); rows = []
    for at in range(0, len(ids), 512):
        part = ids[at:at + 512]; b = L.llama_batch_init(len(part), 0, 1)
        for i, t in enumerate(part): b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, at + i, 1, 1; b.seq_id[i][0] = 0
        b.n_tokens = len(part)
        if L.llama_decode(ctx, b): raise SystemExit("llama_decode failed")
        rows.append(np.ctypeslib.as_array(L.llama_get_logits(ctx), (len(part), n_vocab)).copy()); L.llama_batch_free(b)
    L.llama_free(ctx); L.llama_model_free(model)
    return np.concatenate(rows)
def log_softmax(x):
    x = x.astype(np.float64); x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
def compare(reference, other):
    kl, same = [], 0
    for at in range(0, len(reference), 64):
        r, o = log_softmax(reference[at:at + 64]), log_softmax(other[at:at + 64])
        kl.extend((np.exp(r) * (r - o)).sum(-1)); same += int((r.argmax(-1) == o.argmax(-1)).sum())
    kl = np.array(kl)
    return kl.mean(), np.quantile(kl, 0.99), same / len(reference)

print("| model | engine | mean KL, nats | 99th percentile | same first token |\n|---|---|---|---|---|")
for m in a.models:
    ids = [int(t) for t in subprocess.run([a.verge, "tokenize", m], input=open(a.text, "rb").read(), capture_output=True, check=True).stdout.split()][:a.tokens]
    if len(ids) < a.tokens: print(f"({a.text} has {len(ids)} tokens only)")
    reference = verge(m, ids, 0, "--weights", "f32", "--kv-type", "f32")
    for name, x in (("Verge", verge(m, ids, 0)), ("llama.cpp", peer(m, ids))):
        if x.shape[1] != reference.shape[1]: x = x[:, :reference.shape[1]]
        mean, tail, same = compare(reference, x)
        print(f"| {os.path.basename(m)} | {name} | {mean:.6f} | {tail:.5f} | {same:.4f} |", flush=True)
