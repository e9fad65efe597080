"""Speech to text on the real tiny.en: every container, every way in, every format out, and bytes that are no sound."""
import base64, http.client, io, json, re, struct, subprocess, threading, wave
import openai, pytest
from harness import ACCOUNT, DATA, MODELS, VERGE, Server, eventually

MODEL = "@cf/openai/whisper-tiny-en"
CLIPS = ["jfk.flac", "jfk.ogg", "jfk.mp3", "jfk.webm", "jfk.m4a"]
WORDS = "and so my fellow americans ask not what your country can do for you ask what you can do for your country".split()


@pytest.fixture(scope="module")
def server():
    if not (MODELS / MODEL / "model.bin").exists():
        pytest.skip(f"{MODEL} is not on this machine (verge pull {MODEL})")
    with Server() as running:
        yield running


def clip(name):
    return (DATA / "audio" / name).read_bytes()


def words(text):
    return re.sub(r"[^a-z ]", "", text.lower()).split()


def wav(samples, rate=16000, channels=1):
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setparams((channels, 2, rate, 0, "NONE", ""))
        w.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return out.getvalue()


def raw(server, body, content_type="application/octet-stream", query=""):
    status, _, text = server.post(f"{ACCOUNT}/run/{MODEL}{query}", body, {"content-type": content_type})
    return status, json.loads(text)


def form(fields, data, boundary="b0undary"):
    parts = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()).encode()
    parts += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="clip.bin"\r\n\r\n'.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return parts, {"content-type": f"multipart/form-data; boundary={boundary}"}


@pytest.mark.parametrize("name", CLIPS)
def test_every_container_is_heard_the_same(server, name):
    status, answer = raw(server, clip(name))
    assert status == 200, answer
    result = answer["result"]
    assert words(result["text"]) == WORDS
    assert result["word_count"] == len(result["words"]) == len(WORDS)
    assert abs(result["duration"] - 11) < 0.2 and len(result["segments"]) >= 1
    assert abs(result["words"][-1]["end"] - 10.5) < 0.5
    starts = [w["start"] for w in result["words"]]
    assert starts == sorted(starts)
    assert result["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_every_way_in(server):
    data = clip("jfk.mp3")
    expected = raw(server, data)[1]["result"]
    for body in ({"audio": list(data)}, {"audio": base64.b64encode(data).decode()}, {"audio": {"body": base64.b64encode(data).decode(), "contentType": "audio/mpeg"}}):
        assert server.run(MODEL, body) == expected
    body, headers = form({}, data)
    assert json.loads(server.post(f"{ACCOUNT}/run/{MODEL}", body, headers)[2])["result"] == expected
    stream = {"content-type": "audio/mpeg", "cf-consn-model-id": MODEL}
    assert json.loads(server.post("/run?version=3&userInputs=%7B%7D", data, stream)[2]) == expected


def test_openai_formats(server):
    data = clip("jfk.ogg")

    def ask(route="transcriptions", **fields):
        body, headers = form({"model": MODEL, **fields}, data)
        return server.post(f"/v1/audio/{route}", body, headers)

    assert words(json.loads(ask()[2])["text"]) == WORDS
    assert words(ask(response_format="text")[2]) == WORDS
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:\d\d,\d{3}\nAnd so", ask(response_format="srt")[2])
    assert ask(response_format="vtt")[2].startswith("WEBVTT")
    verbose = json.loads(ask(response_format="verbose_json", language="en")[2])
    assert verbose["language"] == "english" and verbose["duration"] == 11 and verbose["segments"][0]["tokens"]
    assert ask(language="de")[0] == 400  # an English-only model
    assert ask(response_format="doc")[0] == 400


def test_silence_and_noise_have_no_words(server):
    noise = [((i * 1103515245 + 12345) >> 8) % 2001 - 1000 for i in range(16000 * 4)]
    for samples in ([0] * 80000, noise):
        status, answer = raw(server, wav(samples))
        assert status == 200 and answer["result"]["text"] == "" and answer["result"]["segments"] == [] and answer["result"]["word_count"] == 0


def test_odd_clips_are_answered(server):
    status, answer = raw(server, wav([0, 1, 0, -1] * 48000, rate=192000))
    assert status == 200 and answer["result"]["text"] == ""
    status, answer = raw(server, wav([5] * 8 * 48000, rate=48000, channels=8))
    assert status == 200 and abs(answer["result"]["duration"] - 1) < 0.01
    half = clip("jfk.mp3")
    status, answer = raw(server, half[: len(half) // 2], "image/png")  # the content type is no matter
    assert status == 200 and words(answer["result"]["text"])[:5] == WORDS[:5]


@pytest.mark.parametrize("body", [b"no sound at all", b"\0" * 1000, b"RIFF\x24\0\0\0WAVE", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_is_no_sound_is_refused(server, body):
    status, answer = raw(server, body)
    assert status == 400 and answer["errors"][0]["code"] == 5006, answer


def test_wrong_json_is_refused(server):
    for inputs in ({}, {"audio": []}, {"audio": "%%%"}, {"audio": 5}, {"audio": [1, 2, 3], "beam_size": 99}, {"audio": [1, 2, 3], "task": "sing"}):
        status, _, text = server.post(f"{ACCOUNT}/run/{MODEL}", inputs)
        assert status == 400 and json.loads(text)["errors"][0]["code"] == 5006, inputs


def test_a_short_clip_does_not_wait_for_a_long_one(server):
    done = []

    def ask(name, body):
        assert raw(server, body)[0] == 200
        done.append(name)

    thread = threading.Thread(target=ask, args=("long", clip("jfk.mp3") * 8))  # frames of MP3 may follow each other: a minute and a half
    thread.start()
    eventually(lambda: server.worker(MODEL)["in_flight"] == 1)
    ask("short", clip("jfk.mp3"))
    thread.join()
    assert done == ["short", "long"]


def test_clips_side_by_side_are_heard_as_alone(server):
    clips = [clip("jfk.mp3"), clip("jfk.ogg"), clip("jfk.mp3") * 3, clip("jfk.webm")]
    alone = [raw(server, c, query="?beam_size=3")[1]["result"] for c in clips]
    together = [None] * len(clips)

    def ask(i):
        together[i] = raw(server, clips[i], query="?beam_size=3")[1]["result"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(clips))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert together == alone


def long_clip():
    """Frames of MP3 may follow each other: 44 s, two windows."""
    return clip("jfk.mp3") * 4


def events(text):
    return [line[6:] for line in text.split("\n") if line.startswith("data: ")]


def test_a_native_stream_is_the_whole_answer_in_parts(server):
    whole = raw(server, long_clip())[1]["result"]
    status, headers, text = server.post(f"{ACCOUNT}/run/{MODEL}?stream=true", long_clip(), {"content-type": "audio/mpeg"})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    data = events(text)
    assert data[-1] == "[DONE]" and data.count("[DONE]") == 1
    parts = [json.loads(d) for d in data[:-1]]
    last = parts.pop()
    assert len(parts) >= 2
    assert "".join(p["text"] for p in parts) == whole["text"]
    assert [s for p in parts for s in p["segments"]] == whole["segments"]
    heard = [p["seconds"] for p in parts]
    assert heard == sorted(heard) and abs(heard[-1] - whole["duration"]) < 0.1
    assert last["word_count"] == whole["word_count"] and last["transcription_info"] == whole["transcription_info"] and last["vtt"] == whole["vtt"]
    # The same over JSON; and what is wrong is said before a stream begins.
    body = {"audio": base64.b64encode(long_clip()).decode(), "stream": True}
    assert events(server.post(f"{ACCOUNT}/run/{MODEL}", body)[2]) == data
    status, _, text = server.post(f"{ACCOUNT}/run/{MODEL}?stream=true", b"no sound", {"content-type": "audio/mpeg"})
    assert status == 400 and json.loads(text)["errors"][0]["code"] == 5006


def test_an_openai_stream(server):
    body, headers = form({"model": MODEL, "stream": "true"}, long_clip())
    status, _, text = server.post("/v1/audio/transcriptions", body, headers)
    data = [json.loads(d) for d in events(text)]
    assert status == 200 and [d["type"] for d in data[:-1]] == ["transcript.text.delta"] * (len(data) - 1) and len(data) >= 3
    assert data[-1]["type"] == "transcript.text.done" and data[-1]["usage"] == {"type": "duration", "seconds": 45}
    assert "".join(d["delta"] for d in data[:-1]) == data[-1]["text"]
    body, headers = form({"model": MODEL, "stream": "true", "response_format": "srt"}, long_clip())
    assert server.post("/v1/audio/transcriptions", body, headers)[0] == 400


def test_the_openai_package(server):
    client = openai.OpenAI(base_url=f"{server.base}/v1", api_key="none", max_retries=0)
    whole = client.audio.transcriptions.create(model=MODEL, file=("talk.mp3", long_clip()))
    assert words(whole.text)[: len(WORDS)] == WORDS
    verbose = client.audio.transcriptions.create(model=MODEL, file=("talk.ogg", clip("jfk.ogg")), response_format="verbose_json", timestamp_granularities=["word"])
    assert verbose.language == "english" and words(" ".join(w.word for w in verbose.words)) == WORDS
    assert words(client.audio.translations.create(model=MODEL, file=("talk.webm", clip("jfk.webm"))).text) == WORDS
    stream = list(client.audio.transcriptions.create(model=MODEL, file=("talk.mp3", long_clip()), stream=True))
    assert "".join(e.delta for e in stream if e.type == "transcript.text.delta") == stream[-1].text == whole.text
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model=MODEL, file=("talk.mp3", b"no sound"))


def test_a_client_that_leaves_frees_the_model(server):
    for path in (f"{ACCOUNT}/run/{MODEL}?stream=true", f"{ACCOUNT}/run/{MODEL}"):
        host, port = server.base.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port))
        connection.request("POST", path, clip("jfk.mp3") * 60, {"content-type": "audio/mpeg"})  # eleven minutes
        eventually(lambda: server.worker(MODEL)["in_flight"] == 1)
        connection.close()
        eventually(lambda: server.worker(MODEL)["in_flight"] == 0)
    assert words(raw(server, clip("jfk.mp3"))[1]["result"]["text"]) == WORDS


def test_an_hour_is_heard_in_bounds(server):
    # Silence, so that only decoding and listening for a voice take time. (The limit, four hours a request, is media's own test's.)
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setparams((1, 2, 4000, 0, "NONE", ""))
        w.writeframes(bytes(2 * 4000 * 3600))
    status, answer = raw(server, out.getvalue())
    assert status == 200 and answer["result"]["text"] == "" and abs(answer["result"]["duration"] - 3600) < 0.1


def test_metrics_of_speech(server):
    raw(server, clip("jfk.mp3"))
    _, _, text = server.get("/metrics")
    for name in ("verge_audio_seconds_total", "verge_speech_encoder_seconds_total", "verge_speech_decoder_seconds_total", "verge_speech_real_time_factor_count"):
        value = re.search(rf'^{name}{{model="{re.escape(MODEL)}"}} ([0-9.e+-]+)$', text, re.M)
        assert value and float(value.group(1)) > 0, name
    assert float(re.search(r"^verge_audio_seconds_total{.*} ([0-9.e+-]+)$", text, re.M).group(1)) >= 11


def test_run_shows_text_as_it_comes(server, tmp_path):
    talk = tmp_path / "talk.mp3"
    talk.write_bytes(long_clip())
    expected = raw(server, long_clip())[1]["result"]["text"]
    for more in ([], ["--server", server.base]):
        done = subprocess.run([VERGE, "run", MODEL, "--audio", str(talk), *more], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == expected + "\n" and done.stderr == "", done.stderr
    talk.write_bytes(b"no sound")
    done = subprocess.run([VERGE, "run", MODEL, "--audio", str(talk), "--server", server.base], capture_output=True, text=True)
    assert done.returncode == 1 and "audio" in done.stderr
