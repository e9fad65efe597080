#!/usr/bin/env python3
"""What Whisper's encoder may leave out of its 30 s behind a short clip: time saved and texts changed, by seconds of silence kept.
usage: encoder_padding.py [--verge-url URL] [--paddings 30,15,10,5,2,0] [--lengths 1,2,4,8,16] [--cuts N] [--query "temperature=0"] [--out FILE.md] MODEL_ID... --clips FILE.wav...
Cuts N pieces of each length out of each clip (16-bit mono WAV; the cuts are the same in every run), lets a serving Verge hear each with
every `encoder_padding`, and compares the text with that of padding 30: pieces with the same text, words that differ per word, seconds per
piece against padding 30's (median of the ratios). Without the fallback to higher temperatures, whose texts are drawn."""
import argparse, io, json, os, random, statistics, time, urllib.request, wave
from word_errors import edits, words

p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("models", nargs="+"); p.add_argument("--verge-url", default="http://127.0.0.1:8780"); p.add_argument("--clips", nargs="+", required=True)
p.add_argument("--paddings", default="30,15,10,5,2,0"); p.add_argument("--lengths", default="1,2,4,8,16"); p.add_argument("--cuts", type=int, default=5); p.add_argument("--query", default="temperature=0"); p.add_argument("--out")
a = p.parse_args()
paddings, lengths = [float(x) for x in a.paddings.split(",")], [float(x) for x in a.lengths.split(",")]
if paddings[0] != 30: p.error("the first padding has to be 30, with which the others are compared")


def pieces(clip):
    with wave.open(clip) as f: rate, sound = f.getframerate(), f.readframes(f.getnframes())
    chance = random.Random(os.path.basename(clip))
    for seconds in lengths:
        size = int(seconds * rate) * 2
        for _ in range(a.cuts if size <= len(sound) else 0):
            start = chance.randrange(0, len(sound) - size + 1, 2)
            out = io.BytesIO()
            with wave.open(out, "wb") as f: f.setnchannels(1); f.setsampwidth(2); f.setframerate(rate); f.writeframes(sound[start:start + size])
            yield seconds, out.getvalue()


def hear(model, sound, padding):
    url = f"{a.verge_url}/client/v4/accounts/bench/ai/run/{model}?encoder_padding={padding:g}&{a.query}"
    start = time.perf_counter()
    answer = json.load(urllib.request.urlopen(urllib.request.Request(url, sound, {"content-type": "application/octet-stream"}), timeout=600))
    return answer["result"]["text"], time.perf_counter() - start


cut = [piece for clip in a.clips for piece in pieces(clip)]
out = ["| model | silence kept, s | pieces | same text | words that differ | time, × that of 30 s | " + " | ".join(f"{s:g} s pieces: same, time" for s in lengths) + " |",
       "|" + "---|" * (6 + len(lengths))]
for model in a.models:
    rows = {padding: [] for padding in paddings}
    for seconds, sound in cut:
        full = None
        for padding in paddings:
            text, spent = hear(model, sound, padding)
            full = full or (text, spent)
            rows[padding].append((seconds, text == full[0], edits(words(full[0]), words(text)), len(words(full[0])), spent / full[1]))
    for padding, row in rows.items():
        by_length = [[r for r in row if r[0] == s] for s in lengths]
        cells = [f"{sum(r[1] for r in rs)} of {len(rs)}, {statistics.median(r[4] for r in rs):.2f}" if rs else "–" for rs in by_length]
        out.append(f"| {model} | {padding:g} | {len(row)} | {sum(r[1] for r in row)} | {sum(r[2] for r in row) / max(1, sum(r[3] for r in row)):.3f} | "
                   f"{statistics.median(r[4] for r in row):.2f} | {' | '.join(cells)} |")
    print("\n".join(out), flush=True)
    if a.out: open(a.out, "w").write("\n".join(out) + "\n")
