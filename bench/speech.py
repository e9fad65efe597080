#!/usr/bin/env python3
"""Verge beside faster-whisper and whisper.cpp on the same weights, clips and cores: interleaved rounds, medians, ratios.
usage: speech.py [--verge build/release/verge] [--peer-python PYTHON] [--whisper-cli FILE] [--rounds N] [--threads N]
                 [--clips 1,4] [--beams 1,5] [--engines …] [--out FILE.md] --clip FILE.wav NAME=CT2_FOLDER[,GGML_FILE]...
Every engine hears the clip 1 and 4 times at once (--clips). Real-time factor = seconds until all have ended, per second of sound of all.
Encoder and decoder: seconds that each computed, per clip (Verge: /metrics; faster-whisper: around CTranslate2's calls; whisper.cpp: what it
prints). faster-whisper runs in PYTHON, with as many workers as clips and the cores shared among them; whisper.cpp (16 kHz WAV only) as
as many processes. Without --whisper-cli or a GGML file whisper.cpp is left out."""
import argparse, concurrent.futures, json, os, re, socket, statistics, subprocess, sys, tempfile, time, urllib.request, wave

p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("models", nargs="+"); p.add_argument("--clip", required=True); p.add_argument("--verge", default="build/release/verge")
p.add_argument("--peer-python", default=sys.executable); p.add_argument("--whisper-cli"); p.add_argument("--rounds", type=int, default=5)
p.add_argument("--threads", type=int, default=2); p.add_argument("--clips", default="1,4"); p.add_argument("--beams", default="1,5")
p.add_argument("--engines", default="verge,faster-whisper f32,faster-whisper int8,whisper.cpp"); p.add_argument("--out")
p.add_argument("--peer", help=argparse.SUPPRESS)  # this script under PYTHON: serves one engine on stdin/stdout
a = p.parse_args()
counts, beams = [int(x) for x in a.clips.split(",")], [int(x) for x in a.beams.split(",")]


def together(count, hear):
    """Seconds until `count` clips that begin at once have all been heard."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: hear(), range(count)))
        return time.perf_counter() - start


def peer():
    """faster-whisper: a line {"count", "beams"} in, a line {"wall", "encoder", "decoder"} out."""
    from faster_whisper import WhisperModel
    kind, folder, most = a.peer.split(":")
    compute = {"f32": "float32", "int8": "int8"}[kind]
    spent = {"encode": 0.0, "generate": 0.0, "align": 0.0}

    class Timed:
        def __init__(self, model): self.model = model
        def __getattr__(self, name):
            value = getattr(self.model, name)
            if name not in spent: return value
            def call(*args, **named):
                start = time.perf_counter()
                try: return value(*args, **named)
                finally: spent[name] += time.perf_counter() - start
            return call
    models = {}
    for count in counts:
        models[count] = WhisperModel(folder, device="cpu", compute_type=compute, cpu_threads=max(1, a.threads // count), num_workers=count)
        models[count].model = Timed(models[count].model)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        for name in spent: spent[name] = 0.0
        def hear():
            segments, _ = models[ask["count"]].transcribe(a.clip, beam_size=ask["beams"], language="en", word_timestamps=True)
            return "".join(s.text for s in segments)
        wall = together(ask["count"], hear)
        print(json.dumps({"wall": wall, "encoder": spent["encode"] / ask["count"], "decoder": (spent["generate"] + spent["align"]) / ask["count"]}), flush=True)


class Verge:
    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]
        self.base, self.data = f"http://127.0.0.1:{port}", tempfile.TemporaryDirectory()
        command = [a.verge, "serve", "--listen", f"127.0.0.1:{port}", "--data", self.data.name, "--model", f"@bench/speech={folder}", "--threads", str(a.threads)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.clip = open(a.clip, "rb").read()
        while True:
            try: urllib.request.urlopen(self.base + "/readyz"); break
            except OSError: time.sleep(0.05)
        self.hear(1)
    def hear(self, beams):
        url = f"{self.base}/client/v4/accounts/bench/ai/run/@bench/speech?language=en&beam_size={beams}"
        return json.load(urllib.request.urlopen(urllib.request.Request(url, self.clip, {"content-type": "audio/wav"})))["result"]["text"]
    def spent(self):
        text = urllib.request.urlopen(self.base + "/metrics").read().decode()
        return [float((re.search(rf"^verge_speech_{part}_seconds_total{{.*}} (\S+)$", text, re.M) or [0, 0])[1]) for part in ("encoder", "decoder")]
    def measure(self, count, beams):
        before = self.spent()
        wall = together(count, lambda: self.hear(beams))
        encoder, decoder = ((x - y) / count for x, y in zip(self.spent(), before))
        return {"wall": wall, "encoder": encoder, "decoder": decoder}
    def close(self): self.process.terminate(); self.process.wait(); self.data.cleanup()


class FasterWhisper:
    def __init__(self, folder, kind):
        command = [a.peer_python, os.path.abspath(__file__), "--peer", f"{kind}:{folder}:{max(counts)}", "--clip", a.clip, "--threads", str(a.threads), "--clips", a.clips, "-"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.measure(1 if 1 in counts else counts[0], 1)
    def measure(self, count, beams):
        self.process.stdin.write(json.dumps({"count": count, "beams": beams}) + "\n"); self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
    def close(self): self.process.stdin.close(); self.process.wait()


class WhisperCpp:
    """whisper-cli loads its model each time: what it says that took is taken off."""
    def __init__(self, ggml): self.ggml = ggml
    def measure(self, count, beams):
        command = [a.whisper_cli, "-m", self.ggml, "-f", a.clip, "-t", str(max(1, a.threads // count)), "-l", "en", "-bs", str(beams), "-bo", str(beams)]
        said = []
        def hear():
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode: sys.exit(f"{' '.join(command)}\n{done.stderr[-800:]}")
            said.append({k: float(v) / 1000 for k, v in re.findall(r"(\w+) time =\s*([0-9.]+) ms", done.stderr)})
        wall = together(count, hear)
        mean = lambda *keys: sum(s.get(k, 0) for s in said for k in keys) / count
        return {"wall": wall - mean("load"), "encoder": mean("encode"), "decoder": mean("decode", "batchd", "prompt", "sample")}
    def close(self): pass


def engines(folder, ggml):
    for name in a.engines.split(","):
        if name == "verge": yield name, Verge(folder)
        elif name.startswith("faster-whisper"): yield name, FasterWhisper(folder, name.split()[1])
        elif a.whisper_cli and ggml: yield name, WhisperCpp(ggml)


def main():
    with wave.open(a.clip) as w: seconds = w.getnframes() / w.getframerate()
    out = []
    for model in a.models:
        name, _, paths = model.partition("=")
        folder, _, ggml = paths.partition(",")
        running = list(engines(folder, ggml))
        data = {}
        for r in range(a.rounds):
            for count in counts:
                for beam in beams:
                    for engine, e in running if r % 2 == 0 else running[::-1]:
                        data.setdefault((count, beam, engine), []).append(e.measure(count, beam))
            print(f"round {r + 1}: {name}", file=sys.stderr)
        for _, e in running: e.close()
        out.append(f"\n### Whisper {name}, {os.path.basename(a.clip)} ({seconds:.1f} s), {a.threads} threads, {a.rounds} rounds\n")
        out.append("| clips at once | beams | engine | real-time factor | encoder, s | decoder, s | Verge is … times as fast |\n|---|---|---|---|---|---|---|")
        for count in counts:
            for beam in beams:
                for engine, _ in running:
                    runs = data[(count, beam, engine)]
                    factor = [x["wall"] / (seconds * count) for x in runs]
                    med = lambda key: statistics.median(x[key] for x in runs)
                    ratio = statistics.median(x["wall"] / v["wall"] for x, v in zip(runs, data.get((count, beam, "verge"), runs)))
                    out.append(f"| {count} | {beam} | {engine} | {statistics.median(factor):.4f} ({min(factor):.4f}–{max(factor):.4f}) | {med('encoder'):.3f} | {med('decoder'):.3f} | "
                               + ("" if engine == "verge" else f"{ratio:.2f}") + " |")
    text = "\n".join(out) + "\n"
    print(text)
    if a.out:
        with open(a.out, "w") as f: f.write(text)


peer() if a.peer else main()
