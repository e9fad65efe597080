#!/usr/bin/env python3
"""Words of Verge and of faster-whisper on the same weights and clips, against what was said: a markdown table.
usage: speech_words.py [--verge-url URL] [--peer-python PYTHON] [--query "a=b&c=d"] [--out FILE.md] --texts TEXTS.json MODEL_ID=CT2_FOLDER... -- CLIP...
TEXTS.json: {"clip name's beginning": "what is said"}; a clip without one is compared with faster-whisper only. Word error rate = edits
(words put in, left out, changed) per word of the reference, case and punctuation aside."""
import argparse, glob, json, os, subprocess, sys, urllib.request
from word_errors import edits, rate, words

p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("models", nargs="+"); p.add_argument("--verge-url", default="http://127.0.0.1:8780"); p.add_argument("--peer-python", default=sys.executable)
p.add_argument("--texts"); p.add_argument("--query", default=""); p.add_argument("--out"); p.add_argument("--clips", nargs="+", required=True)
a = p.parse_args()
PEER = """
import json, sys
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="float32")
for clip in sys.argv[2:]:
    segments, _ = model.transcribe(clip, beam_size=5, word_timestamps=True)
    print(json.dumps("".join(s.text for s in segments)), flush=True)
"""


def verge(model, clip):
    url = f"{a.verge_url}/client/v4/accounts/bench/ai/run/{model}?{a.query}"
    request = urllib.request.Request(url, open(clip, "rb").read(), {"content-type": "application/octet-stream"})
    return json.load(urllib.request.urlopen(request, timeout=600))["result"]["text"]


texts = json.load(open(a.texts)) if a.texts else {}
clips = [c for pattern in a.clips for c in sorted(glob.glob(pattern))]
out = ["| model | clip | words said | error rate: Verge | faster-whisper | between the two |", "|---|---|---|---|---|---|"]
for model in a.models:
    name, _, folder = model.partition("=")
    done = subprocess.run([a.peer_python, "-c", PEER, folder, *clips], capture_output=True, text=True)
    if done.returncode: sys.exit(done.stderr[-800:])
    total = [0, 0, 0]
    for clip, line in zip(clips, done.stdout.splitlines()):
        theirs, ours, base = json.loads(line), verge(name, clip), os.path.basename(clip)
        said = next((t for start, t in texts.items() if base.startswith(start)), None)
        cells = ["–"] * 3
        if said:
            cells = [str(len(words(said))), f"{rate(said, ours):.3f}", f"{rate(said, theirs):.3f}"]
            total = [total[0] + len(words(said)), total[1] + edits(words(said), words(ours)), total[2] + edits(words(said), words(theirs))]
        out.append(f"| {name} | {base} | {' | '.join(cells)} | {rate(theirs, ours):.3f} |")
    if total[0]: out.append(f"| {name} | all | {total[0]} | {total[1] / total[0]:.3f} | {total[2] / total[0]:.3f} | |")
text = "\n".join(out) + "\n"
print(text)
if a.out:
    with open(a.out, "w") as f: f.write(text)
