#!/usr/bin/env python3
"""Streams whose serving node is killed at a random token, and what every client saw of it.

    sudo VERGE_BINARY=build/release/verge tests/net/streams.py --streams 1000

Three regions on namespaces with distances where root may make them, else on loopback. Streams run in waves; in each wave one of
them, chosen at random, kills the node that serves it at a token chosen at random, and with it all others that are there. The node is
started again for the next wave. Ends with 1 if an answer is neither whole and equal to the undisturbed one, nor ends with exactly one error."""
import argparse, json, os, pathlib, random, re, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("VERGE_BINARY", str(ROOT / "build" / "release" / "verge"))
from cluster import REGIONS, Cluster, hosts, undisturbed  # noqa: E402
from network import THREE_REGIONS, Loopback, Network, unavailable  # noqa: E402


def classify(answer, want):
    if answer.whole:
        return "identical" if answer.text == want else "different"
    if answer.honest and answer.status == 200:
        return "one error event" if want.startswith(answer.text) else "different"
    return "refused with an error" if answer.honest else "truncated"


def resumes(cluster):
    return sum(float(re.search(r"^verge_router_resumes_total (\S+)", cluster.get(f"{r}-gw", "/metrics")[1], re.M)[1]) for r in REGIONS)


def run(cluster, streams, wave, tokens, seed):
    """Counts of all outcomes, of kills, and of streams that went on elsewhere."""
    rng = random.Random(seed)
    want = undisturbed(cluster, "eu-gw", range(1, 17), tokens)
    counts = {"identical": 0, "one error event": 0, "refused with an error": 0, "different": 0, "truncated": 0}
    kills, before, done = 0, resumes(cluster), 0
    while done < streams:
        size = min(wave, streams - done)
        victim, token, hit = rng.randrange(size), rng.randrange(1, tokens), []

        def lose(count, answer, token=token, hit=hit):
            if count == token and not hit:
                hit.append(answer.node)
                cluster.kill(answer.node)
        jobs = [{"gateway": f"{rng.choice(REGIONS)}-gw", "seed": rng.choice(list(want)), "tokens": tokens, "on_event": lose if i == victim else None} for i in range(size)]
        for job, answer in zip(jobs, cluster.ask_many(jobs, size)):
            counts[classify(answer, want[job["seed"]])] += 1
        done += size
        for node in hit:
            kills += 1
            cluster.again(node)
            for region in REGIONS:
                cluster.wait_for(f"{region}-gw", [node])
    return {**counts, "streams": done, "kills": kills, "went on elsewhere": int(resumes(cluster) - before)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=48)
    parser.add_argument("--wave", type=int, default=24, help="streams at the same time")
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    why = unavailable()
    if why:
        print(f"on loopback, without distances: {why}", file=sys.stderr)
    of = hosts(nodes=1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, (Loopback(of) if why else Network(of, THREE_REGIONS)) as net, Cluster(net, folder) as cluster:
        cluster.start(nodes=1)
        counts = run(cluster, options.streams, options.wave, options.tokens, options.seed)
    counts["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(counts))
    return counts["different"] + counts["truncated"] > 0


if __name__ == "__main__":
    sys.exit(main())
