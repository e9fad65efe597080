"""Speech to text on the real tiny.en: every container, every way in, every format out, and bytes that are no sound."""
import base64, io, json, re, struct, threading, wave
import pytest
from harness import ACCOUNT, DATA, MODELS, Server, eventually

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
