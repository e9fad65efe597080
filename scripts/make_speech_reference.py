#!/usr/bin/env python3
"""Makes small random Whisper models in the hub's layout with the answers of transformers, and mel features.

    make_speech_reference.py FOLDER

FOLDER/NAME/ gets config.json, model.safetensors (f16) and expected.json: a random mel input, the encoder's output and the decoder's
logits, computed in f64 from the weights as they were written. FOLDER/mel.json has log-mel features of a computed signal, by
transformers' WhisperFeatureExtractor. Needs torch and transformers.
"""

import json
import math
import pathlib
import shutil
import sys

import numpy
import torch
import transformers

SMALL = dict(vocab_size=96, d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=3,
             encoder_ffn_dim=96, decoder_ffn_dim=64, num_mel_bins=80, max_source_positions=40, max_target_positions=64,
             bos_token_id=1, eos_token_id=2, pad_token_id=2, decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None)  # fmt: skip
MODELS = {
    "small": {},
    # As large-v3-turbo is built: more bands, and a decoder of another depth than the encoder.
    "turbo": dict(num_mel_bins=128, d_model=64, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=4,
                  vocab_size=101, max_source_positions=25),
}  # fmt: skip


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if "layer_norm.weight" in name:
                tensor.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                tensor.copy_(0.3 * noise)
            elif "embed" in name:
                tensor.copy_(0.5 * noise)
            else:
                gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.5
                tensor.copy_(noise * gain / math.prod(tensor.shape[1:]) ** 0.5)


def rounded(tensor, digits):
    return [[round(x, digits) for x in row] for row in tensor.tolist()]


def build(name, folder, seed):
    config = transformers.WhisperConfig(**{**SMALL, **MODELS[name]})
    model = transformers.WhisperForConditionalGeneration(config).float()
    randomize(model, seed)
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.float16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    written.pop("transformers_version", None)
    path.write_text(json.dumps(written, indent=1) + "\n")
    read = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").double().eval()
    generator = torch.Generator().manual_seed(seed + 1)
    frames = 2 * config.max_source_positions
    mel = torch.round(torch.randn(frames, config.num_mel_bins, generator=generator, dtype=torch.float64) * 100) / 100
    ids = torch.randint(3, config.vocab_size, (40,), generator=generator)
    with torch.no_grad():
        encoded = read.model.encoder(mel.T[None]).last_hidden_state
        out = read(encoder_outputs=(encoded,), decoder_input_ids=ids[None], use_cache=False, output_attentions=True)
    answer = dict(mel=rounded(mel, 2), encoder=rounded(encoded[0], 5), ids=ids.tolist(), logits=rounded(out.logits[0], 5),
                  cross_attention=dict(layer=config.decoder_layers - 1, head=1, weights=rounded(out.cross_attentions[-1][0, 1], 6)))  # fmt: skip
    (folder / "expected.json").write_text(json.dumps(answer, separators=(",", ":")) + "\n")
    print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes, logits up to", round(float(out.logits.abs().max()), 2))


def signal(count):
    """Tones that rise and fade over a little noise of a fixed sequence; tests compute the same."""
    state, out = 12345, []
    for i in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        t = i / 16000
        tone = 0.5 * math.sin(2 * math.pi * (220 + 900 * t) * t) + 0.2 * math.sin(2 * math.pi * 3100 * t) * math.exp(-3 * t)
        out.append(tone + 0.01 * (state / 2**30 - 1))
    return numpy.array(out, dtype=numpy.float32)


def mel_features(path):
    wave = signal(8000 + 123)
    features = {}
    for mels in (80, 128):
        extractor = transformers.WhisperFeatureExtractor(feature_size=mels)
        values = extractor._np_extract_fbank_features(wave[None], "cpu")[0]
        features[str(mels)] = [[round(float(x), 5) for x in row] for row in values.T]
    path.write_text(json.dumps(dict(samples=len(wave), features=features), separators=(",", ":")) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for number, name in enumerate(MODELS):
        build(name, folder / name, 100 * number + 7)
    mel_features(folder / "mel.json")


main()
