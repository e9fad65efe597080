"""Text to speech on the real Hibari: every format, OpenAI's package, bad input, and the words back from Whisper."""
import base64, io, json, re, subprocess, urllib.error, urllib.request, wave
import openai, pytest
from harness import ACCOUNT, MODELS, VERGE, Server

VOICE, EAR = "@verge/hibari-heart", "@cf/openai/whisper-tiny-en"
SENTENCES = [
    "The train to Boston leaves at 9:30 in the morning.",
    "My sister Elizabeth was born in 1984.",
    "The meeting is on October 12, 2019.",
    "They raised $3 million for the hospital.",
    "The ticket costs $19.99.",
    "Michael Johnson lives in San Francisco, California.",
]


@pytest.fixture(scope="module")
def server():
    if not (MODELS / VOICE / "model.safetensors").exists():
        pytest.skip(f"{VOICE} is not on this machine (verge pull {VOICE})")
    with Server("--stand-ins") as running:
        yield running


def speak(server, inputs, model="@cf/deepgram/aura-1"):
    """(status, content type, bytes); errors are answers too."""
    request = urllib.request.Request(f"{server.base}{ACCOUNT}/run/{model}", json.dumps(inputs).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read()


def words(text):
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).split()


def test_whisper_gives_the_words_back(server):
    if not (MODELS / EAR / "model.bin").exists():
        pytest.skip(f"{EAR} is not on this machine")
    for sentence in SENTENCES:
        status, kind, sound = speak(server, {"text": sentence, "encoding": "linear16", "container": "wav"})
        assert (status, kind) == (200, "audio/wav")
        heard = json.loads(server.post(f"{ACCOUNT}/run/{EAR}", sound, {"content-type": "audio/wav"})[2])["result"]["text"]
        assert words(heard) == words(sentence)


@pytest.mark.parametrize("encoding, kind, start", [
    ("linear16", "audio/wav", b"RIFF"), ("mulaw", "audio/wav", b"RIFF"), ("alaw", "audio/wav", b"RIFF"),
    ("flac", "audio/flac", b"fLaC"), ("mp3", "audio/mpeg", b"\xff"), ("opus", "audio/ogg", b"OggS"), ("aac", "audio/aac", b"\xff"),
])
def test_every_encoding(server, encoding, kind, start):
    status, content_type, sound = speak(server, {"text": "Hello there. How are you?", "encoding": encoding})
    assert (status, content_type) == (200, kind) and sound.startswith(start) and len(sound) > 2000


def test_samples_alone(server):
    status, content_type, sound = speak(server, {"text": "Hello there.", "encoding": "linear16", "container": "none", "sample_rate": 8000})
    assert (status, content_type) == (200, "audio/l16;rate=8000;channels=1") and 16_000 < len(sound) < 32_000


def test_melotts_answers_base64(server):
    result = server.run("@cf/myshell-ai/melotts", {"prompt": "Hello there.", "lang": "en"})
    assert list(result) == ["audio"] and base64.b64decode(result["audio"]).startswith(b"\xff")


def test_openai_package(server):
    client = openai.OpenAI(base_url=f"{server.base}/v1", api_key="x")
    for name, start in (("mp3", b"\xff"), ("wav", b"RIFF"), ("flac", b"fLaC"), ("opus", b"OggS"), ("aac", b"\xff"), ("pcm", b"")):
        sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.", response_format=name).read()
        assert sound.startswith(start) and len(sound) > 1000
    slow = client.audio.speech.create(model="gpt-4o-mini-tts", voice="nova", input="Hello there.", response_format="pcm", speed=0.5).read()
    quick = client.audio.speech.create(model="gpt-4o-mini-tts", voice="nova", input="Hello there.", response_format="pcm", speed=2).read()
    assert len(slow) > 2 * len(quick)
    with pytest.raises(openai.BadRequestError, match="voice"):
        client.audio.speech.create(model="tts-1", voice="bob", input="Hello.")


def test_openai_events(server):
    status, headers, text = server.post("/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "One. Two.", "stream_format": "sse"})
    events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: ")]
    assert status == 200 and headers["content-type"] == "text/event-stream"
    assert [e["type"] for e in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1) and events[-1]["type"] == "speech.audio.done"
    assert base64.b64decode(events[0]["audio"]).startswith(b"\xff")


@pytest.mark.parametrize("inputs, said", [
    ({}, "'text'"), ({"text": ""}, "Length"), ({"text": "日本語"}, "nothing that can be spoken"), ({"text": "😀!?"}, "nothing that can be spoken"),
    ({"text": "hi", "speaker": "bob"}, "speaker"), ({"text": "hi", "encoding": "mp4"}, "encoding"), ({"text": "hi", "encoding": "mp3", "container": "wav"}, "container"),
    ({"text": "hi", "sample_rate": 7}, "sample_rate"), ({"text": "hi", "encoding": "linear16", "bit_rate": 48000}, "bit_rate"),
])
def test_bad_input_is_named(server, inputs, said):
    status, _, body = speak(server, inputs)
    assert status == 400 and said in json.loads(body)["errors"][0]["message"]


def test_a_language_that_the_voice_lacks(server):
    status, _, body = speak(server, {"prompt": "bonjour", "lang": "fr"}, "@cf/myshell-ai/melotts")
    assert status == 400 and "fr" in json.loads(body)["errors"][0]["message"]


def test_a_megabyte_is_refused_and_the_model_lives(server):
    assert speak(server, {"text": "word " * 200_000})[0] == 413
    assert speak(server, {"text": "a" * 5000 + "😀" * 2000 + " https://example.com/?q=1&r=%20 ... \u202e \u0000 \t"})[0] == 200
    assert speak(server, {"text": "9" * 3000 + "." * 3000})[0] == 200

def test_the_command_line_writes_a_file():
    if not (MODELS / VOICE / "model.safetensors").exists():
        pytest.skip(f"{VOICE} is not on this machine")
    made = subprocess.run([VERGE, "run", VOICE, "Hello there."], capture_output=True, check=True)
    with wave.open(io.BytesIO(made.stdout)) as sound:
        assert sound.getframerate() == 24000 and 1 < len(sound.readframes(10**6)) / 48000 < 2
