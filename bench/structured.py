#!/usr/bin/env python3
"""What a schema costs while a model decodes: answers under one beside free ones, interleaved, at 1 and 16 at once.
usage: structured.py [--verge build/release/verge] [--rounds N] MODEL.gguf
Prints tokens a second of one answer (wall) and processor time a token (gateway and model process), free and under the
schema, medians over the rounds, and their ratios. On a machine that does other work only the second says something."""
import argparse, json, os, pathlib, shutil, socket, statistics, subprocess, tempfile, threading, time, urllib.request

p = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
p.add_argument("model"); p.add_argument("--verge", default="build/release/verge"); p.add_argument("--rounds", type=int, default=7)
a = p.parse_args()
PERSON = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 40}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
                                           "city": {"type": "string"}, "married": {"type": "boolean"},
                                           "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}}},
          "required": ["name", "age", "city", "married"], "additionalProperties": False}
SCHEMA = {"type": "object", "properties": {"people": {"type": "array", "minItems": 30, "items": PERSON}}, "required": ["people"]}
TOKENS = 200


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processor_seconds(root):
    """Of a process and its descendants."""
    parents, seconds = {}, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], seconds[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    inside = {root}
    while more := {pid for pid, parent in parents.items() if parent in inside} - inside:
        inside |= more
    return sum(seconds.get(pid, 0) for pid in inside)


def answer(port, schema, seed, rates):
    body = {"model": "@bench/model", "messages": [{"role": "user", "content": "Write a long list of thirty people with names and ages."}],
            "max_tokens": TOKENS, "seed": seed, "temperature": 0.8, "stream": True, "stream_options": {"include_usage": True}}
    if schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "people", "schema": SCHEMA}}
    else:
        body["ignore_eos"] = True
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"})
    first = last = tokens = 0
    for line in urllib.request.urlopen(request):
        if not line.startswith(b"data: {"):
            continue
        last = time.perf_counter()
        first = first or last
        tokens = (json.loads(line[6:]).get("usage") or {}).get("completion_tokens", tokens)
    rates.append((tokens, (tokens - 1) / (last - first)))


def one_round(server, port, schema, at_once, seed):
    rates, before = [], processor_seconds(server.pid)
    threads = [threading.Thread(target=answer, args=(port, schema, seed + i, rates)) for i in range(at_once)]
    for t in threads: t.start()
    for t in threads: t.join()
    return statistics.mean(r for _, r in rates), 1000 * (processor_seconds(server.pid) - before) / sum(n for n, _ in rates)


data, port = tempfile.mkdtemp(), free_port()
server = subprocess.Popen([a.verge, "serve", "--listen", f"127.0.0.1:{port}", "--data", data, "--model", f"@bench/model={a.model}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz")
            break
        except OSError:
            time.sleep(0.1)
    answer(port, False, 1, []), answer(port, True, 1, [])
    print("| answers at once | tokens/s free | under the schema | ratio | CPU ms a token free | under the schema | ratio |\n|---|---|---|---|---|---|---|")
    for at_once in (1, 16):
        free, bound = [], []
        for r in range(a.rounds):
            for schema, rows in ((False, free), (True, bound)) if r % 2 == 0 else ((True, bound), (False, free)):
                rows.append(one_round(server, port, schema, at_once, 100 * r))
        med = lambda rows, i: statistics.median(row[i] for row in rows)
        ratio = lambda i: statistics.median(b[i] / f[i] for f, b in zip(free, bound))
        print(f"| {at_once} | {med(free, 0):.1f} | {med(bound, 0):.1f} | {ratio(0):.3f} | {med(free, 1):.2f} | {med(bound, 1):.2f} | {ratio(1):.3f} |", flush=True)
finally:
    server.terminate(); server.wait()
    shutil.rmtree(data)
