#!/usr/bin/env python3
"""Clips with what is said in them, for speech_words.py and encoder_padding.py, out of the test data of two packages' sources.
usage: speech_clips.py OUT_FOLDER pocketsphinx-5.1.1.tar.gz [pyannote_audio-4.0.7.tar.gz]
PocketSphinx (BSD): five sentences of Sense and Sensibility as LibriVox reads them (public domain), also as one clip with pauses, five hands of cards,
a robot's order. pyannote.audio (MIT): half a minute of two people on a telephone, without a transcript. Writes 16 kHz mono WAV and texts.json."""
import json, os, re, sys, tarfile, wave

out, archives = sys.argv[1], sys.argv[2:]
if not archives: sys.exit(__doc__)
os.makedirs(out, exist_ok=True)
texts = {}


def put(name, sound, text=None):
    with wave.open(f"{out}/{name}.wav", "wb") as f: f.setnchannels(1); f.setsampwidth(2); f.setframerate(16000); f.writeframes(sound)
    if text: texts[name] = text


def sound_of(file):
    with wave.open(file) as f:
        assert (f.getframerate(), f.getnchannels(), f.getsampwidth()) == (16000, 1, 2)
        return f.readframes(f.getnframes())


sentences = []
for archive in archives:
    with tarfile.open(archive) as tar:
        files = {member.name.split("/", 1)[-1]: member for member in tar if member.isfile()}
        read = lambda name: tar.extractfile(files[name])
        for folder, transcripts in (("test/data/librivox", "transcription"), ("test/data/cards", "cards.transcription")):
            for line in read(f"{folder}/{transcripts}").read().decode().splitlines() if f"{folder}/{transcripts}" in files else []:
                text, name = re.fullmatch(r"<s> (.*?)\s*</s> \((.*)\)", line).groups()
                text = text.replace("a more a amiable", "a more amiable")  # what is read
                sound = sound_of(read(f"{folder}/{name}.wav"))
                if "austen" in name: sentences.append((sound, text))
                put(f"austen-{name[-4:]}" if "austen" in name else f"cards-{name}", sound, text)
        if "test/data/goforward.raw" in files: put("goforward", read("test/data/goforward.raw").read(), "go forward ten meters")
        if "src/pyannote/audio/sample/sample.wav" in files: put("two-speakers", sound_of(read("src/pyannote/audio/sample/sample.wav")))
if sentences: put("dashwood-all", (b"\0" * 8000).join(sound for sound, _ in sentences), " ".join(text for _, text in sentences))
json.dump(texts, open(f"{out}/texts.json", "w"), indent=1)
