#!/usr/bin/env python3
"""Whisper's weights from CTranslate2's model.bin (f16 or f32) into whisper.cpp's f16 file, so that both hear with the same ones.
usage: ggml_from_ct2.py CT2_FOLDER VOCABULARY.bin OUT.bin
VOCABULARY.bin: any whisper.cpp file of the same vocabulary, whose mel filters and tokens are copied (its own models/for-tests-ggml-*.bin do)."""
import struct, sys
import numpy as np

folder, vocabulary, out = sys.argv[1:4]
data = open(f"{folder}/model.bin", "rb").read()
at = 0


def take(form):
    global at
    values = struct.unpack_from("<" + form, data, at); at += struct.calcsize("<" + form)
    return values[0] if len(values) == 1 else values


def text():
    global at
    n = take("H"); s = data[at : at + n - 1].decode(); at += n
    return s


take("I"); assert text() == "WhisperSpec"; take("I")
variables = {}
for _ in range(take("I")):
    name = text(); rank = take("B"); shape = [take("I") for _ in range(rank)]; kind = take("B"); size = take("I")
    raw = data[at : at + size]; at += size
    dtype = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}[kind]
    variables[name] = np.frombuffer(raw, dtype).reshape(shape)

tensors = {}
def put(name, value): tensors[name] = value
for part, short in (("encoder", "encoder"), ("decoder", "decoder")):
    put(f"{short}.positional_embedding", variables[f"{part}/position_encodings/encodings"].astype("f4"))
    final = "ln_post" if part == "encoder" else "ln"
    put(f"{short}.{final}.weight", variables[f"{part}/layer_norm/gamma"]); put(f"{short}.{final}.bias", variables[f"{part}/layer_norm/beta"])
    layer = 0
    while f"{part}/layer_{layer}/ffn/linear_0/weight" in variables:
        v = lambda name: variables[f"{part}/layer_{layer}/{name}"]
        to = f"{short}.blocks.{layer}."
        def norm(name, source): put(to + name + ".weight", v(source + "/gamma")); put(to + name + ".bias", v(source + "/beta"))
        def linear(name, weight, bias): put(to + name + ".weight", weight); bias is not None and put(to + name + ".bias", bias)
        q, k, val = np.split(v("self_attention/linear_0/weight"), 3); qb, _, vb = np.split(v("self_attention/linear_0/bias"), 3)
        linear("attn.query", q, qb); linear("attn.key", k, None); linear("attn.value", val, vb)
        linear("attn.out", v("self_attention/linear_1/weight"), v("self_attention/linear_1/bias")); norm("attn_ln", "self_attention/layer_norm")
        if part == "decoder":
            linear("cross_attn.query", v("attention/linear_0/weight"), v("attention/linear_0/bias"))
            k, val = np.split(v("attention/linear_1/weight"), 2); _, vb = np.split(v("attention/linear_1/bias"), 2)
            linear("cross_attn.key", k, None); linear("cross_attn.value", val, vb)
            linear("cross_attn.out", v("attention/linear_2/weight"), v("attention/linear_2/bias")); norm("cross_attn_ln", "attention/layer_norm")
        linear("mlp.0", v("ffn/linear_0/weight"), v("ffn/linear_0/bias")); linear("mlp.2", v("ffn/linear_1/weight"), v("ffn/linear_1/bias"))
        norm("mlp_ln", "ffn/layer_norm"); layer += 1
for i in (1, 2):
    put(f"encoder.conv{i}.weight", variables[f"encoder/conv{i}/weight"]); put(f"encoder.conv{i}.bias", variables[f"encoder/conv{i}/bias"].reshape(-1, 1))
put("decoder.token_embedding.weight", variables["decoder/embeddings/weight"])

width = variables["decoder/embeddings/weight"].shape[1]
layers = lambda part: sum(f"{part}/layer_{i}/ffn/linear_0/weight" in variables for i in range(100))
heads = lambda part: int(variables[f"{part}/num_heads"])
header = open(vocabulary, "rb").read()
mels, bins = struct.unpack_from("<2i", header, 4 + 44)
end = 4 + 44 + 8 + 4 * mels * bins
tokens = struct.unpack_from("<i", header, end)[0]; end += 4
for _ in range(tokens): end += 4 + struct.unpack_from("<i", header, end)[0]
with open(out, "wb") as f:
    f.write(struct.pack("<12i", 0x67676D6C, variables["decoder/embeddings/weight"].shape[0], 1500, width, heads("encoder"), layers("encoder"), 448, width,
                        heads("decoder"), layers("decoder"), mels, 1))
    f.write(header[4 + 44 : end])
    for name, value in tensors.items():
        wide = value.ndim < 2 or name.endswith("positional_embedding") or (name.startswith("encoder.conv") and name.endswith("bias"))
        value = value.astype("<f4" if wide else "<f2")
        f.write(struct.pack("<3i", value.ndim, len(name), 0 if wide else 1) + struct.pack(f"<{value.ndim}i", *value.shape[::-1]) + name.encode() + value.tobytes())
