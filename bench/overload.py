#!/usr/bin/env python3
"""How a server behaves when more is asked of it than it can do: fairness between accounts, answers in time at 1 to 10 times
its capacity, how fast it refuses and recovers, and what a long prompt does to others' streams.

    python3 bench/overload.py --model MODEL.gguf [--binary build/release/verge] [--parts fairness,goodput,gap] [--json]
    python3 bench/overload.py --server http://127.0.0.1:8780 --id ID

Starts `verge serve` on loopback unless --server says where one is. Standard library only; one process, so on a small machine
its own work takes part of the cores (it is the same for every server). For a comparison give --binary twice or more: the runs
take turns, --rounds times, and medians are shown.
"""
import argparse, asyncio, json, os, signal, socket, statistics, subprocess, sys, tempfile, time
from urllib.parse import urlsplit

PATIENCE = 10.0


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))] if ordered else float("nan")


class Client:
    """Keep-alive connections to one server."""

    def __init__(self, base, model):
        self.at, self.model, self.idle = urlsplit(base), model, []

    async def open(self):
        while self.idle:
            reader, writer = self.idle.pop()
            if not writer.is_closing() and not reader.at_eof():
                return reader, writer
        return await asyncio.open_connection(self.at.hostname, self.at.port)

    def body(self, text, tokens, stream=False):
        return json.dumps({"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "ignore_eos": True,
                           "temperature": 0, "stream": stream}).encode()

    async def ask(self, account, text, tokens, patience=None, on_piece=None):
        """(status, seconds, completion tokens); status "left" where patience ended, "error" where the connection did."""
        began, pair = time.perf_counter(), None
        body = self.body(text, tokens, on_piece is not None)
        head = (f"POST /client/v4/accounts/{account}/ai/v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        try:
            async with asyncio.timeout(patience):
                pair = reader, writer = await self.open()
                writer.write(head + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                status, lower = int(answer[9:12]), answer.lower()
                if b"transfer-encoding: chunked" in lower:
                    while size := int(await reader.readline(), 16):
                        piece = (await reader.readexactly(size + 2))[:-2]
                        if on_piece:
                            on_piece(piece)
                    await reader.readline()
                    payload = b""
                else:
                    at = lower.index(b"content-length:") + 15
                    payload = await reader.readexactly(int(lower[at:lower.index(b"\r\n", at)]))
            if b"connection: close" in lower:
                writer.close()
            else:
                self.idle.append(pair)
            done = 0
            if status == 200 and payload:
                done = json.loads(payload)["usage"]["completion_tokens"]
            return status, time.perf_counter() - began, done
        except TimeoutError:
            status = "left"
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status = "error"
        if pair:
            pair[1].close()
        return status, time.perf_counter() - began, 0


async def fairness(client):
    """One account sends single requests while another has sent 200 at once; then four that always want more."""
    async def single(i):
        return (await client.ask("light", f"Say something about topic {i}.", 16))[1]

    await single(0)
    alone = [await single(i) for i in range(1, 31)]
    flood = [asyncio.create_task(client.ask("heavy", f"Tell a story about number {i}.", 128)) for i in range(200)]
    await asyncio.sleep(0.5)
    beside, i = [], 1000
    while not all(t.done() for t in flood) and len(beside) < 150:
        i += 1
        beside.append(await single(i))
    answers = await asyncio.gather(*flood)
    codes = {}
    for status, _, _ in answers:
        codes[status] = codes.get(status, 0) + 1

    tokens, end = {}, time.perf_counter() + 12
    async def keep(account, k, prompt, length):
        n = 0
        while time.perf_counter() < end:
            n += 1
            status, _, done = await client.ask(account, f"{prompt} {k} {n}", length)
            if status == 200 and time.perf_counter() < end:
                tokens[account] = tokens.get(account, 0) + done
            elif status != 200:
                await asyncio.sleep(0.2)
    callers = [("many", 60, "Tell of", 64), ("long", 16, "Tell of", 128), ("short", 24, "Tell of", 16), ("other", 24, "Tell of", 32)]
    await asyncio.gather(*[keep(account, k, prompt, length) for account, count, prompt, length in callers for k in range(count)])
    got = [tokens.get(account, 0) for account, *_ in callers]
    return {"alone p50 s": percentile(alone, .5), "alone p99 s": percentile(alone, .99),
            "beside p50 s": percentile(beside, .5), "beside p99 s": percentile(beside, .99), "beside max s": max(beside, default=float("nan")),
            "ratio p50": percentile(beside, .5) / percentile(alone, .5), "ratio p99": percentile(beside, .99) / percentile(alone, .99),
            "flood answered": codes.get(200, 0), "flood took s": max(a[1] for a in answers if a[0] == 200),
            "Jain": sum(got) ** 2 / (len(got) * sum(x * x for x in got))}


async def goodput(client, seconds, loads):
    async def closed(n):
        end, count = time.perf_counter() + 6, 0
        async def one(k):
            nonlocal count
            i = 0
            while time.perf_counter() < end:
                i += 1
                count += (await client.ask("open", f"Say a word about number {k}-{i}.", 16))[0] == 200
        began = time.perf_counter()
        await asyncio.gather(*[one(k) for k in range(n)])
        return count / (time.perf_counter() - began)
    await client.ask("open", "Hello.", 16)
    peak = max([await closed(n) for n in (8, 24, 48)])
    out = {"peak 1/s": peak}
    for load in loads:
        tasks, began = [], time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            while len(tasks) < passed * peak * load:
                at = time.perf_counter()
                tasks.append((at, asyncio.create_task(client.ask("open", f"Say a word about number {load}-{len(tasks)}.", 16, PATIENCE))))
            await asyncio.sleep(0.004)
        end, back = time.perf_counter(), None
        while back is None and time.perf_counter() - end < 60:
            status, took, _ = await client.ask("open", "Back to normal?", 16, 30)
            if status == 200 and took < 1:
                back = time.perf_counter() - end
            else:
                await asyncio.sleep(0.1)
        done = [(at, *(await task)) for at, task in tasks]
        good = sum(status == 200 and at + took <= end for at, status, took, _ in done) / seconds
        refused = [took for _, status, took, _ in done if status in (429, 503)]
        out[f"{load}x good %"] = 100 * good / peak
        out[f"{load}x offered 1/s"] = len(done) / seconds
        out[f"{load}x refused p50 ms"] = 1e3 * percentile(refused, .5)
        out[f"{load}x refused p99 ms"] = 1e3 * percentile(refused, .99)
        out[f"{load}x left"] = sum(status == "left" for _, status, *_ in done)
        out[f"{load}x recovery s"] = back if back is not None else 60.0
    return out


async def gap(client):
    async def streams(beside):
        gaps, starts = [], [None] * 4
        async def one(k):
            last = None
            def piece(data):
                nonlocal last
                now = time.perf_counter()
                if b'"content"' not in data:
                    return
                if last is not None and started:
                    gaps.append(now - last)
                last = now
            await client.ask("streams", f"Tell a long story about number {k}.", 160, None, piece)
        started = False
        tasks = [asyncio.create_task(one(k)) for k in range(4)]
        await asyncio.sleep(0.3)
        started = True
        if beside:
            await client.ask("streams", " ".join(f"word{i % 997}" for i in range(1800)) + f" {time.time()}", 1)
        await asyncio.gather(*tasks)
        return gaps
    await streams(False)
    alone, beside = await streams(False), await streams(True)
    return {"gap alone p99 ms": 1e3 * percentile(alone, .99), "gap beside p99 ms": 1e3 * percentile(beside, .99), "gap beside max ms": 1e3 * max(beside, default=float("nan"))}


async def measure(base, model, parts, seconds, loads):
    client, out = Client(base, model), {}
    if "fairness" in parts:
        out |= await fairness(client)
    if "gap" in parts:
        out |= await gap(client)
    if "goodput" in parts:
        out |= await goodput(client, seconds, loads)
    return out


def serve_and_measure(binary, arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as data:
        server = subprocess.Popen([binary, "serve", "--listen", f"127.0.0.1:{port}", "--data", data, "--model", f"{arguments.id}={arguments.model}"],
                                  stdout=subprocess.DEVNULL, stderr=open(os.path.join(data, "log"), "w"))
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            return asyncio.run(measure(base, arguments.id, arguments.parts.split(","), arguments.seconds, arguments.loads))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server")
    parser.add_argument("--binary", action="append")
    parser.add_argument("--model")
    parser.add_argument("--id", default="@bench/model")
    parser.add_argument("--parts", default="fairness,gap,goodput")
    parser.add_argument("--seconds", type=float, default=15, help="of each load")
    parser.add_argument("--loads", type=lambda text: [int(x) for x in text.split(",")], default=[1, 3, 5, 10])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.server:
        runs = {arguments.server: [asyncio.run(measure(arguments.server, arguments.id, arguments.parts.split(","), arguments.seconds, arguments.loads))]}
    else:
        if not arguments.model:
            parser.error("--model or --server is needed")
        runs = {binary: [] for binary in arguments.binary or ["build/release/verge"]}
        for _ in range(arguments.rounds):
            for binary, results in runs.items():
                results.append(serve_and_measure(binary, arguments))
    medians = {name: {key: statistics.median(r[key] for r in results) for key in results[0]} for name, results in runs.items()}
    if arguments.json:
        print(json.dumps(medians))
        return
    for key in next(iter(medians.values())):
        print(f"{key:24}", *[f"{values[key]:12.3f}" for values in medians.values()])


if __name__ == "__main__":
    sys.exit(main())
