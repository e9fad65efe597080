"""Accounts, quotas and the usage ledger of a real server with a real model, also through kill -9."""
import collections, concurrent.futures, contextlib, http.client, json, os, random, shutil, signal, sqlite3, subprocess, tempfile, threading, time
import pytest
from harness import STORIES, VERGE, Server, eventually

MODEL = "@cf/meta/llama-3.2-1b-instruct"  # its prices; the weights are the small ones of tests/data
IN, OUT = 0.027 / 1e6 / (0.011 / 1000), 0.201 / 1e6 / (0.011 / 1000)  # neurons of a token


def neurons(prompt, generated):
    return prompt * IN + generated * OUT


def verge(*words, check=True):
    done = subprocess.run([VERGE, *words], capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


class Folder:
    """A data folder that outlives its servers."""

    def __init__(self, path):
        self.path = str(path)

    def serve(self, *options):
        return Server("--log-level", "error", *options, models=[f"{MODEL}={STORIES}"], data=self.path)

    def rows(self):
        # A running server has the database for itself: its files are copied, as `verge usage` does.
        with tempfile.TemporaryDirectory() as copy:
            for end in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(os.path.join(self.path, "usage.db" + end), copy)
            db = sqlite3.connect(os.path.join(copy, "usage.db"))
            db.row_factory = sqlite3.Row
            return db.execute("SELECT * FROM usage ORDER BY boot, seq").fetchall()

    def usage(self, *options):
        return json.loads(verge("usage", "--data", self.path, "--json", *options))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "data")


Seen = collections.namedtuple("Seen", "id prompt generated")


def ask(server, account, prompt, stream, tokens=24):
    """What a client saw: (id, prompt tokens, generated tokens) of a complete answer, else None."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        body = {"prompt": prompt, "raw": True, "max_tokens": tokens, "stream": stream}
        connection.request("POST", f"/client/v4/accounts/{account}/ai/run/{MODEL}", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            return None
        if stream:
            if not text.endswith("data: [DONE]\n\n"):
                return None
            events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
            if any("errors" in e or "error" in e for e in events):
                return None
            usage = next(e["usage"] for e in reversed(events) if "usage" in e)
        else:
            usage = json.loads(text)["result"]["usage"]
        return Seen(answer.headers["cf-ai-req-id"], usage["prompt_tokens"], usage["completion_tokens"])
    except (OSError, http.client.HTTPException):
        return None  # the server died under it
    finally:
        connection.close()


def check_books(folder, seen, most_unseen):
    """Every answer that a client saw the end of is in the ledger exactly once, with the units that it was told."""
    rows = folder.rows()
    assert len({(r["gateway"], r["boot"], r["seq"]) for r in rows}) == len(rows)
    ok = {}
    for row in rows:
        if row["outcome"] == "ok":
            assert row["id"] not in ok, "an answer is there twice"
            ok[row["id"]] = row
    for answer in seen:
        row = ok.pop(answer.id)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (answer.prompt, answer.generated)
        assert abs(row["neurons"] / 1e6 - neurons(answer.prompt, answer.generated)) < 1e-6
    # What is left was cut between the commit and the client: no more than were under way at a kill.
    assert len(ok) <= most_unseen, f"{len(ok)} rows that no client saw the end of"
    # The sums are those of the rows.
    total = folder.usage("--from", "2020-01-01", "--by", "account,model")["total"]
    for sums, column in (("prompt_tokens",) * 2, ("completion_tokens",) * 2):
        assert total[sums] == sum(r[column] for r in rows)
    assert abs(total["neurons"] - sum(r["neurons"] for r in rows) / 1e6) < 1e-6
    return len(ok)


def load(server, seen, stop, lanes, seed):
    """Clients that ask until told to stop: streams and whole answers of random lengths."""
    def lane(number):
        rng = random.Random(seed * 1000 + number)
        while not stop.is_set():
            answer = ask(server, f"acc{number % 3}", "Once upon a time there was " * rng.randint(1, 6), number % 2 == 0, rng.randint(1, 60))
            if answer:
                seen.append(answer)
    threads = [threading.Thread(target=lane, args=(i,)) for i in range(lanes)]
    for thread in threads:
        thread.start()
    return threads


def test_the_ledger_is_what_clients_saw_through_kills_of_the_server(folder):
    rng, lanes, rounds, seen = random.Random(5), 8, 6, []
    for number in range(rounds):
        server = folder.serve()
        stop = threading.Event()
        threads = load(server, seen, stop, lanes, number)
        known = len(seen)
        eventually(lambda: len(seen) > known + 3)
        time.sleep(rng.random())
        server.process.send_signal(signal.SIGKILL)  # at a random moment
        stop.set()
        for thread in threads:
            thread.join()
        server.stop()
    cut = check_books(folder, seen, lanes * rounds)
    assert len(seen) > rounds * 3
    print(f"{len(seen)} answers seen complete, {cut} committed whose end no client saw, {rounds} kills, {lanes} under way at each")


def test_the_ledger_is_what_clients_saw_through_kills_of_the_worker(folder):
    rng, lanes, seen = random.Random(6), 6, []
    with folder.serve() as server:
        stop = threading.Event()
        threads = load(server, seen, stop, lanes, 1)
        for _ in range(5):
            known = len(seen)
            eventually(lambda: len(seen) > known + 4)
            pid = eventually(lambda: (server.worker(MODEL) or {}).get("pid"))
            time.sleep(rng.random() / 4)
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(seen) > known + 8)
        stop.set()
        for thread in threads:
            thread.join()
        assert server.stop() == 0
    assert check_books(folder, seen, 0) == 0  # this process was never killed: nothing is in doubt
    print(f"{len(seen)} answers through 5 kills of the worker")


def test_a_client_that_leaves_pays_for_what_it_got(folder):
    with folder.serve() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", f"/client/v4/accounts/acc/ai/run/{MODEL}", json.dumps({"prompt": "Once", "raw": True, "max_tokens": 400, "stream": True, "ignore_eos": True}))
        assert connection.getresponse().read(200)
        connection.sock.close()
        connection.close()
        row = eventually(lambda: next(iter(folder.rows()), None))
        assert row["outcome"] in ("aborted", "ok")
        assert row["completion_tokens"] > 0 and row["neurons"] > 0


def test_quota_ends_at_the_right_request_and_survives_a_restart(folder):
    with folder.serve() as server:
        first = ask(server, "acc", "Once upon a time", False)
        each = neurons(first.prompt, first.generated)
        verge("account", "set", "acc", "--daily-neurons", f"{each * 4.5:.6f}", "--data", folder.path)
        # 4.5 times what one takes: one has run, four more start before it is used up.
        status = [ask(server, "acc", "Once upon a time", i % 2 == 0) is not None for i in range(6)]
        assert status == [True] * 4 + [False] * 2
        code, headers, text = server.post(f"/client/v4/accounts/acc/ai/run/{MODEL}", {"prompt": "x"})
        assert code == 429
        error = json.loads(text)["errors"][0]
        assert error["code"] == 3036 and "You have used up your daily free allocation of" in error["message"]
        seconds = int(headers["retry-after"])
        assert 0 < seconds <= 86400 and abs(seconds - (86400 - time.time() % 86400)) < 5
        code, _, text = server.post("/client/v4/accounts/acc/ai/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "x"}]})
        assert code == 429 and json.loads(text)["error"]["code"] == "insufficient_quota"
        assert ask(server, "other", "Once upon a time", False)
        server.process.send_signal(signal.SIGKILL)
    with folder.serve() as server:
        assert ask(server, "acc", "Once upon a time", False) is None, "a restart gives nothing back"
        report = json.loads(server.get("/client/v4/accounts/acc/ai/usage?by=day,model")[2])["result"]
        assert report["allocation"]["used_today"] == pytest.approx(5 * each, abs=1e-5)
        assert report["allocation"]["remaining"] == 0
        verge("account", "set", "acc", "--daily-neurons", "unlimited", "--data", folder.path)
        assert ask(server, "acc", "Once upon a time", False)


def test_concurrent_requests_do_not_run_past_the_allocation(folder):
    with folder.serve() as server:
        first = ask(server, "probe", "Once upon a time", False)
        each = neurons(first.prompt, first.generated)
        verge("account", "set", "acc", "--daily-neurons", f"{each * 40:.6f}", "--data", folder.path)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: ask(server, "acc", "Once upon a time", i % 2 == 0), range(200)))
        used = json.loads(server.get("/client/v4/accounts/acc/ai/usage")[2])["result"]["allocation"]["used_today"]
        print(f"used {used / each:.2f} requests' worth of 40")
        assert each * 36 <= used <= each * 41  # one request may start with the last of it


def test_rates_concurrency_and_published_limits(folder):
    with folder.serve("--quotas") as server:
        report = json.loads(server.get("/client/v4/accounts/acc/ai/usage")[2])["result"]
        assert report["allocation"]["daily_neurons"] == 10000
        verge("account", "set", "acc", "--rate", "text-generation=2/min", "--data", folder.path)
        assert [server.post(f"/client/v4/accounts/acc/ai/run/{MODEL}", {"prompt": "x", "max_tokens": 1})[0] for _ in range(3)] == [200, 200, 429]
        code, headers, text = server.post(f"/client/v4/accounts/acc/ai/run/{MODEL}", {"prompt": "x", "max_tokens": 1})
        assert code == 429 and int(headers["retry-after"]) > 30 and "2 requests per minute" in text
        verge("account", "set", "acc", "--rate", "text-generation=unlimited", "--concurrency", "2", "--data", folder.path)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda _: server.post(f"/client/v4/accounts/acc/ai/run/{MODEL}", {"prompt": "x" * 50, "max_tokens": 200, "raw": True})[0], range(8)))
        assert set(codes) == {200, 429}
        listed = json.loads(verge("account", "list", "--json", "--data", folder.path))
        assert listed == [{"id": "acc", "daily_neurons": "default", "concurrency": 2, "requests_per_minute": {"text-generation": "unlimited"}}]
        verge("account", "remove", "acc", "--data", folder.path)
        metrics = server.get("/metrics")[2]
        assert 'verge_account_refusals_total{account="acc",reason="rate"} 2' in metrics
        assert 'verge_account_neurons_total{account="acc"}' in metrics


def test_scopes_and_other_accounts(folder):
    tokens = {name: verge("token", "create", "--scope", scope, *account, "--data", folder.path).strip()
              for name, scope, account in (("read", "read", ["--account", "acc"]), ("run", "run", ["--account", "acc"]), ("old", "inference", []), ("admin", "admin", []))}
    with folder.serve() as server:
        def status(name, path, body=None):
            headers = {"authorization": "Bearer " + tokens[name]}
            return (server.post(path, body, headers) if body else server.get(path, headers))[0]
        run = f"/client/v4/accounts/acc/ai/run/{MODEL}"
        prompt = {"prompt": "x", "max_tokens": 1}
        assert [status(n, run, prompt) for n in tokens] == [403, 200, 200, 200]
        assert [status(n, "/client/v4/accounts/acc/ai/models/search") for n in tokens] == [200] * 4
        assert [status(n, "/client/v4/accounts/acc/ai/usage") for n in tokens] == [200] * 4
        assert [status(n, "/verge/v1/usage") for n in tokens] == [403, 403, 403, 200]
        assert [status(n, run.replace("/acc/", "/other/"), prompt) for n in tokens] == [403, 403, 200, 200]
        assert [status(n, "/client/v4/accounts/other/ai/usage") for n in tokens] == [403, 403, 200, 200]
        env = {**os.environ, "VERGE_TOKEN": tokens["admin"]}
        remote = subprocess.run([VERGE, "usage", "--server", server.base, "--by", "account", "--json"], capture_output=True, text=True, env=env)
        assert remote.returncode == 0, remote.stderr
        assert {r["account"]: r["requests"] for r in json.loads(remote.stdout)["rows"]} == {"acc": 3, "other": 2}
        # The same from the data folder, and as a table.
        assert folder.usage("--by", "account")["rows"] == json.loads(remote.stdout)["rows"]
        assert "total" in verge("usage", "--data", folder.path, "--account", "acc")


def test_wrong_words_are_named(folder):
    for words, named in ((("account", "set", "acc", "--daily-neurons", "many"), "--daily-neurons"), (("account", "set", "acc", "--rate", "5"), "TASK=N"),
                         (("account", "set", "a/b", "--concurrency", "1"), "account's id"), (("account", "remove", "nobody"), "nobody"),
                         (("usage",), "usage.db"), (("token", "create", "--scope", "root"), "--scope")):
        done = subprocess.run([VERGE, *words, "--data", folder.path], capture_output=True, text=True)
        assert done.returncode != 0 and named in done.stderr + done.stdout, (words, done.stderr)
