#!/usr/bin/env python3
"""Verge beside ONNX Runtime and OpenVINO on the same encoder weights and cores: interleaved rounds, medians, ratios.
usage: encoders.py [--verge build/release/verge] [--rounds N] [--threads N] [--seconds S] [--work FOLDER]
                   [--models resnet50,efficientnet,minilm] [--tests direct,concurrent] [--out FILE.md]
                   --efficientnet FILE.pth --minilm FOLDER
ResNet-50 gets random weights, written for all three by this script (hub layout and ONNX, exported by torch); the other
two have their real ones. Direct: one batch after another, in the library itself (verge bench; the peers under this
script's Python). Concurrent: 32 clients, each with one picture or text at a time, over HTTP. Verge's server packs them.
The peers stand behind the smallest possible HTTP server of Python: as ONE session that takes one request at a time
("one by one": all cores on each), and as a pool of --threads single-threaded sessions ("pool"); all clients send prepared
floats or token ids to the peers and a JPEG or a text to Verge, whose server has to decode or tokenise too.
Needs torch, transformers, onnx, onnxruntime and openvino. Each round runs all engines, in an order that turns."""
import argparse, concurrent.futures, http.client, http.server, io, json, os, queue, socket, socketserver, statistics, subprocess, sys, time
p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("--verge", default="build/release/verge"); p.add_argument("--rounds", type=int, default=5); p.add_argument("--threads", type=int, default=2)
p.add_argument("--seconds", type=float, default=3, help="of one direct measurement of a peer, and of one concurrent one"); p.add_argument("--work", default="/tmp/verge-bench-encoders")
p.add_argument("--models", default="resnet50,efficientnet,minilm"); p.add_argument("--tests", default="direct,concurrent"); p.add_argument("--out")
p.add_argument("--efficientnet"); p.add_argument("--minilm"); p.add_argument("--clients", type=int, default=32)
p.add_argument("--repeat", type=int, default=7, help="batches of one direct measurement of Verge"); p.add_argument("--peer", help=argparse.SUPPRESS)
a = p.parse_args()
models, tests = a.models.split(","), a.tests.split(",")
BATCHES, TOKENS = (1, 8, 32), (32, 128, 512)
TEXT = "A request with one short text, as most of them are: which river runs by the old garden?"

# --- weights: a folder or file for Verge, an ONNX file for the peers

def make_resnet50(folder):
    import torch, transformers as t
    torch.manual_seed(1)
    model = t.ResNetForImageClassification(t.ResNetConfig(num_labels=1000, layer_type="bottleneck")).eval().requires_grad_(False)
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.1); m.running_var.uniform_(0.5, 1.5); m.weight.uniform_(0.5, 1); m.bias.normal_(0, 0.1)
    model.save_pretrained(folder)
    t.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(folder)
    return lambda x: model(x).logits

def make_efficientnet(path):
    """The network of the checkpoint, written out (TensorFlow's SAME padding, ReLU6, batch norms)."""
    import torch, torch.nn.functional as F
    w = torch.load(path, map_location="cpu", weights_only=True)
    stages = [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)]
    def conv(x, name, norm, stride=1, groups=1, relu=True):
        k, size = w[name + ".weight"].shape[-1], x.shape[-1]
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        x = F.conv2d(F.pad(x, (total // 2, total - total // 2) * 2), w[name + ".weight"], None, stride, 0, 1, groups)
        x = F.batch_norm(x, w[norm + ".running_mean"], w[norm + ".running_var"], w[norm + ".weight"], w[norm + ".bias"], False, 0, 1e-3)
        return F.relu6(x) if relu else x
    def forward(x):
        x = conv(x, "_conv_stem", "_bn0", 2); block = 0
        for repeats, _, first_stride, expand in stages:
            for i in range(repeats):
                b, stride, y = f"_blocks.{block}.", first_stride if i == 0 else 1, x
                if expand > 1: y = conv(y, b + "_expand_conv", b + "_bn0")
                y = conv(y, b + "_depthwise_conv", b + "_bn1", stride, y.shape[1])
                y = conv(y, b + "_project_conv", b + "_bn2", relu=False)
                x = x + y if stride == 1 and x.shape == y.shape else y; block += 1
        return F.linear(conv(x, "_conv_head", "_bn1").mean((2, 3)), w["_fc.weight"], w["_fc.bias"])
    return forward

def export(name):
    """Path of NAME.onnx; made once."""
    path = os.path.join(a.work, name + ".onnx")
    if os.path.exists(path): return path
    import torch, transformers as t
    os.makedirs(a.work, exist_ok=True)
    class Wrapped(torch.nn.Module):
        def __init__(self, f): super().__init__(); self.f = f
        def forward(self, *x): return self.f(*x)
    if name == "minilm":
        model = t.AutoModel.from_pretrained(a.minilm, attn_implementation="eager").eval()
        def mean(ids, mask):
            hidden, m = model(input_ids=ids, attention_mask=mask).last_hidden_state, mask[..., None].float()
            return torch.nn.functional.normalize((hidden * m).sum(1) / m.sum(1), dim=1)
        inputs, names = (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)), ["ids", "mask"]
        axes = {n: {0: "batch", 1: "tokens"} for n in names}; f = mean; keep = model
    else:
        f = make_resnet50(os.path.join(a.work, "resnet50")) if name == "resnet50" else make_efficientnet(a.efficientnet)
        inputs, names, axes, keep = (torch.zeros(2, 3, 224, 224),), ["x"], {"x": {0: "batch"}}, None
    wrapped = Wrapped(f); wrapped.keep = keep
    with torch.no_grad(): torch.onnx.export(wrapped, inputs, path, input_names=names, output_names=["y"], dynamic_axes=axes | {"y": {0: "batch"}}, opset_version=17, dynamo=False)
    return path

def verge_path(name):
    return {"resnet50": os.path.join(a.work, "resnet50"), "efficientnet": a.efficientnet, "minilm": a.minilm}[name]

# --- the peers; each run in a process of its own (--peer), so that no engine's threads stand in another's way

def session(engine, path, threads):
    """numpy inputs by name -> numpy output"""
    if engine == "onnxruntime":
        import onnxruntime as ort
        o = ort.SessionOptions(); o.intra_op_num_threads = threads; o.inter_op_num_threads = 1
        s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        return lambda x: s.run(None, x)[0]
    import openvino as ov
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda x: request.infer(x)[compiled.output(0)]

def feed(name, batch, tokens=0):
    import numpy as np
    rng = np.random.default_rng(7)
    if name == "minilm": return {"ids": rng.integers(1000, 30000, (batch, tokens)), "mask": np.ones((batch, tokens), np.int64)}
    return {"x": rng.standard_normal((batch, 3, 224, 224), dtype=np.float32)}

def peer_direct(engine, name):
    run = session(engine, export(name), a.threads)
    for tokens in TOKENS if name == "minilm" else (0,):
        for batch in BATCHES:
            x = feed(name, batch, tokens); run(x); times = []; stop = time.perf_counter() + a.seconds
            while len(times) < 3 or (time.perf_counter() < stop and len(times) < 200):
                t = time.perf_counter(); run(x); times.append(time.perf_counter() - t)
            print(json.dumps({"tokens": tokens, "sequences": batch, "p50_ms": statistics.median(times) * 1000}), flush=True)

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True; request_queue_size = 128

def peer_serve(engine, name, sessions):
    """POST of raw bytes (floats, or int64 ids) -> raw bytes; prints the port."""
    import numpy as np
    idle = queue.Queue()
    for _ in range(sessions): idle.put(session(engine, export(name), a.threads if sessions == 1 else 1))
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *_): pass
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if name == "minilm": ids = np.frombuffer(body, np.int64)[None]; x = {"ids": ids, "mask": np.ones_like(ids)}
            else: x = {"x": np.frombuffer(body, np.float32).reshape(1, 3, 224, 224)}
            run = idle.get()
            try: out = run(x).tobytes()
            finally: idle.put(run)
            self.send_response(200); self.send_header("content-length", str(len(out))); self.end_headers(); self.wfile.write(out)
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True); server.serve_forever()

# --- rounds

def lines(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=1800)
    if r.returncode: sys.exit(f"{' '.join(cmd)}\n{r.stderr[-800:]}")
    return [json.loads(l) for l in r.stdout.splitlines() if l.startswith("{")]

def peer_command(kind, engine, name):
    return [sys.executable, os.path.abspath(__file__), "--peer", f"{kind}:{engine}:{name}", "--threads", str(a.threads), "--seconds", str(a.seconds), "--work", a.work,
            "--efficientnet", a.efficientnet or "", "--minilm", a.minilm or ""]

def direct(engine, name):
    rows = lines([a.verge, "bench", verge_path(name), "--json", "--threads", str(a.threads), "--repeat", str(a.repeat)]) if engine == "verge" else lines(peer_command("direct", engine, name))
    return {(r["tokens"], r["sequences"]): r["sequences"] * 1000 / r["p50_ms"] for r in rows if r.get("test", "encode") == "encode"}

def picture():
    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(3)
    out = io.BytesIO(); Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((320, 240), Image.BICUBIC).save(out, "jpeg", quality=90)
    return out.getvalue()

def wait_for(port, path="/readyz"):
    for _ in range(300):
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=5); c.request("GET", path)
            if c.getresponse().status == 200: return
        except OSError: pass
        time.sleep(0.1)
    sys.exit("the server did not start")

def load(port, path, body, headers):
    """Requests a second of a.clients clients that each have one under way."""
    stop, done, latencies = time.perf_counter() + a.seconds, [0] * a.clients, []
    def client(i):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < stop:
            t = time.perf_counter(); c.request("POST", path, body, headers); r = c.getresponse(); data = r.read()
            if r.status != 200: raise RuntimeError(f"{r.status}: {data[:200]}")
            done[i] += 1; latencies.append(time.perf_counter() - t)
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(a.clients) as pool:
        for f in [pool.submit(client, i) for i in range(a.clients)]: f.result()
    return sum(done) / (time.perf_counter() - start), statistics.median(latencies) * 1000

def concurrent_round(engine, name):
    text = name == "minilm"
    if engine == "verge":
        with socket.socket() as s: s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]
        child = subprocess.Popen([a.verge, "serve", "--listen", f"127.0.0.1:{port}", "--data", os.path.join(a.work, "data"), "--threads", str(a.threads), "--model", f"@bench/m={verge_path(name)}"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        body, headers = (json.dumps({"text": TEXT}).encode(), {"content-type": "application/json"}) if text else (picture(), {"content-type": "image/jpeg"})
        path = "/client/v4/accounts/bench/ai/run/@bench/m"
    else:
        import numpy as np
        library, how = engine.split(" ")
        child = subprocess.Popen(peer_command(f"serve{1 if how == 'one' else a.threads}", library, name), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port, path, headers = int(child.stdout.readline()), "/", {}
        if text:
            import transformers as t
            body = np.array(t.AutoTokenizer.from_pretrained(a.minilm)(TEXT, truncation=True, max_length=256)["input_ids"], np.int64).tobytes()
        else: body = feed(name, 1)["x"].tobytes()
    try:
        if engine == "verge": wait_for(port)
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=120); c.request("POST", path, body, headers); c.getresponse().read()  # loads the model
        return load(port, path, body, headers)
    finally:
        child.terminate()
        try: child.wait(20)
        except subprocess.TimeoutExpired: child.kill()

def main():
    for name in models: export(name)
    data = {}   # (test, model, key, engine) -> [value]
    engines = ["verge", "onnxruntime", "openvino"]
    servers = ["verge", "onnxruntime one", "onnxruntime pool", "openvino one", "openvino pool"]
    for r in range(a.rounds):
        for name in models:
            if "direct" in tests:
                for engine in engines[r % 3:] + engines[:r % 3]:
                    for k, v in direct(engine, name).items(): data.setdefault(("direct", name, k, engine), []).append(v)
            if "concurrent" in tests:
                for engine in servers[r % 5:] + servers[:r % 5]:
                    rate, latency = concurrent_round(engine, name)
                    data.setdefault(("concurrent", name, "rate", engine), []).append(rate); data.setdefault(("concurrent", name, "ms", engine), []).append(latency)
            print(f"round {r + 1}: {name}", file=sys.stderr)

    med = statistics.median
    def cell(v): return f"{med(v):.1f} ({min(v):.1f}–{max(v):.1f})"
    def ratio(of, others):  # to the best of the others, round by round
        return med([x / max(o[i] for o in others) for i, x in enumerate(of)])
    titles = {"resnet50": "ResNet-50 (random weights)", "efficientnet": "EfficientNet-Lite0", "minilm": "all-MiniLM-L6-v2"}
    out = []
    if "direct" in tests:
        out.append("| model | batch | tokens | Verge | ONNX Runtime | OpenVINO | to the better |\n|---|---|---|---|---|---|---|")
        for name in models:
            for k in sorted({k for (t, m, k, e) in data if t == "direct" and m == name}):
                rows = [data.get(("direct", name, k, e)) for e in engines]
                if not all(rows): continue
                out.append(f"| {titles[name]} | {k[1]} | {k[0] or ''} | {cell(rows[0])} | {cell(rows[1])} | {cell(rows[2])} | {ratio(rows[0], rows[1:]):.2f} × |")
    if "concurrent" in tests:
        out.append(f"\n{a.clients} clients, requests a second (median ms of a request):\n\n| model | " + " | ".join(["Verge"] + servers[1:] + ["to the best"]) + " |\n" + "|---" * (len(servers) + 2) + "|")
        for name in models:
            rates = [data[("concurrent", name, "rate", e)] for e in servers]
            cells = [f"{cell(v)} ({med(data[('concurrent', name, 'ms', e)]):.0f} ms)" for v, e in zip(rates, servers)]
            out.append(f"| {titles[name]} | " + " | ".join(cells) + f" | {ratio(rates[0], rates[1:]):.2f} × |")
    text = "\n".join(out) + "\n"
    print(text)
    if a.out:
        with open(a.out, "w") as f: f.write(text)

if a.peer:
    kind, engine, name = a.peer.split(":")
    if kind == "direct": peer_direct(engine, name)
    else: peer_serve(engine, name, int(kind.removeprefix("serve")))
else:
    if "efficientnet" in models and not a.efficientnet or "minilm" in models and not a.minilm: sys.exit("--efficientnet and --minilm say where those weights are (verge models --json)")
    main()
