#!/usr/bin/env python3
"""What one large body takes of memory: a clip of --mib MiB that is no sound goes to a speech model, and the peak of each
process before and after is printed.

    VERGE_MODELS=DIR python3 bench/payload_memory.py [--mib 91] [--model @cf/openai/whisper-tiny-en] BINARY...
"""
import argparse, os, signal, socket, subprocess, tempfile, time, urllib.error, urllib.request


def peak(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def family(pid):
    below = [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    return [pid] + [q for p in below for q in family(p)]


def ask(base, model, body):
    request = urllib.request.Request(f"{base}/client/v4/accounts/bench/ai/run/{model}", data=body, headers={"content-type": "application/octet-stream"})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=91)
    parser.add_argument("--model", default="@cf/openai/whisper-tiny-en")
    parser.add_argument("binaries", nargs="+", metavar="BINARY")
    options = parser.parse_args()
    for binary in options.binaries:
        with socket.socket() as free, tempfile.TemporaryDirectory() as data:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
            free.close()
            server = subprocess.Popen([binary, "serve", "--listen", listen, "--data", data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                while True:
                    try:
                        urllib.request.urlopen(f"http://{listen}/readyz")
                        break
                    except (OSError, urllib.error.URLError):
                        time.sleep(0.1)
                ask(f"http://{listen}", options.model, b"RIFF")  # loads the model
                before = {pid: peak(pid) for pid in family(server.pid)}
                ask(f"http://{listen}", options.model, bytes(options.mib << 20))
                for pid, mib in before.items():
                    name = open(f"/proc/{pid}/cmdline").read().split("\0")[1]
                    print(f"{binary} {name}: {mib} -> {peak(pid)} MiB")
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait()


if __name__ == "__main__":
    main()
