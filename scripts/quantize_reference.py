#!/usr/bin/env python3
"""Makes one small Llama GGUF for each storage type, with the answers of transformers on the dequantised weights.

    quantize_reference.py FOLDER [TYPE …]

MIXED is a file with all types of random_blocks.py, each matrix of another one.

FOLDER gets llama-TYPE.gguf and llama-TYPE.json (as expected.json of make_reference.py, and in "table" the first values
of the token table as gguf's Python package reads them). F32, F16 and BF16 have a smaller model to spare bytes. The quantisers are
gguf's own; it lacks those of the K types, so they are here, plain and good enough (the reference is the dequantised
value, not the original).
Needs gguf, numpy, torch and transformers.
"""

import argparse
import pathlib

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as T

from random_blocks import TYPES as RANDOM
from random_blocks import random_weights
from reference import expected, randomize, telling, write_expected

PLAIN = ["F32", "F16", "BF16"]
QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]


def halves(values):
    """f32 {n} -> f16 bytes {n, 2}, and the values that these stand for."""
    stored = values.astype(np.float16)
    return stored.view(np.uint8).reshape(-1, 2), stored.astype(np.float32)


def inverse(values):
    return np.divide(1, values, out=np.zeros_like(values), where=values != 0)


def quantise_k_min(x, levels):
    """Q4_K and Q5_K: {n, 256} -> parts of the block: d, dmin, packed scales, codes {n, 8, 32}."""
    sub = x.reshape(-1, 8, 32)
    low = np.minimum(sub.min(axis=2), 0)
    scale, minimum = (sub.max(axis=2) - low) / levels, -low
    d_bytes, d = halves(scale.max(axis=1) / 63)
    m_bytes, m = halves(minimum.max(axis=1) / 63)
    scale6 = np.clip(np.rint(scale * inverse(d)[:, None]), 0, 63).astype(np.uint8)
    min6 = np.clip(np.rint(minimum * inverse(m)[:, None]), 0, 63).astype(np.uint8)
    step, offset = d[:, None] * scale6, m[:, None] * min6
    codes = np.clip(np.rint((sub + offset[..., None]) * inverse(step)[..., None]), 0, levels).astype(np.uint8)
    packed = np.concatenate(
        [scale6[:, :4] | (scale6[:, 4:] >> 4 << 6), min6[:, :4] | (min6[:, 4:] >> 4 << 6), (scale6[:, 4:] & 15) | ((min6[:, 4:] & 15) << 4)], axis=1)
    return d_bytes, m_bytes, packed, codes


def quantise_k(x, kind):
    x = x.reshape(-1, 256)
    if kind == T.Q6_K:
        sub = x.reshape(-1, 16, 16)
        index = np.abs(sub).argmax(axis=2)
        scale = np.take_along_axis(sub, index[..., None], axis=2)[..., 0] / -32  # the extreme becomes code -32
        index = np.abs(scale).argmax(axis=1)
        d_bytes, d = halves(np.take_along_axis(scale, index[:, None], axis=1)[:, 0] / -128)
        scale8 = np.clip(np.rint(scale * inverse(d)[:, None]), -128, 127).astype(np.int8)
        codes = np.clip(np.rint(sub * inverse(d[:, None] * scale8)[..., None]), -32, 31).astype(np.int8) + 32
        q = codes.astype(np.uint8).reshape(-1, 2, 4, 32)  # half, quarter, lane
        ql = np.stack([(q[:, :, 0] & 15) | (q[:, :, 2] << 4), (q[:, :, 1] & 15) | (q[:, :, 3] << 4)], axis=2).reshape(-1, 128)
        qh = (q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6).reshape(-1, 64)
        return np.concatenate([ql, qh, scale8.view(np.uint8), d_bytes], axis=1)
    d, m, packed, q = quantise_k_min(x, 15 if kind == T.Q4_K else 31)
    qs = ((q[:, 0::2] & 15) | (q[:, 1::2] << 4)).reshape(-1, 128)
    parts = [d, m, packed, qs]
    if kind == T.Q5_K:
        bits = (q >> 4 << np.arange(8, dtype=np.uint8)[:, None]).astype(np.uint8)
        parts.insert(3, np.bitwise_or.reduce(bits, axis=1))
    return np.concatenate(parts, axis=1)


def quantise(x, kind):
    """f32 {rows, columns} -> storage bytes {rows, bytes}."""
    if kind == T.F32:
        return x
    data = quantise_k(x, kind) if kind in (T.Q4_K, T.Q5_K, T.Q6_K) else gguf.quants.quantize(x, kind)
    return data.reshape(x.shape[0], -1)


def permuted(weight, heads):
    """Rows of q and k in llama.cpp's order: rotary pairs adjacent."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def unpermuted(weight, heads):
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}  # fmt: skip


def gguf_name(name):
    name = name.removesuffix(".weight")
    outside = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    if name in outside:
        return outside[name] + ".weight"
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


def build(name, folder, seed):
    kind = None if name == "MIXED" else T[name]
    matrices = 0
    size = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2) if name in PLAIN else \
        dict(hidden_size=256, intermediate_size=256, num_hidden_layers=2)  # fmt: skip
    config = transformers.LlamaConfig(vocab_size=256, num_attention_heads=4, num_key_value_heads=1, max_position_embeddings=512, bos_token_id=1,
                                      eos_token_id=2, pad_token_id=None, tie_word_embeddings=name not in ("Q8_0", "MIXED"), rms_norm_eps=1e-5, **size)
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    randomize(model, seed, norm_offset=1)
    path = folder / f"llama-{name.lower()}.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"random Llama, {name}")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    with torch.no_grad():
        for hub_name, tensor in model.named_parameters():
            values = tensor.numpy().copy()
            heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}.get(hub_name.split(".")[-2][0]) if "self_attn" in hub_name else None
            if values.ndim == 1:
                writer.add_tensor(gguf_name(hub_name), values)
                continue
            if name == "MIXED":  # what the blocks hold is the weight
                kind = RANDOM[matrices % len(RANDOM)]
                matrices += 1
                stored = random_weights(kind, *values.shape, float(values.std()), seed * 100 + matrices)
                back = gguf.quants.dequantize(stored, kind).reshape(values.shape)
                values = unpermuted(back, heads) if heads else back
            else:
                stored = quantise(permuted(values, heads) if heads else values, kind)
            writer.add_tensor(gguf_name(hub_name), stored, raw_dtype=kind)
            back = gguf.quants.dequantize(stored, kind).reshape(values.shape)
            tensor.copy_(torch.from_numpy((unpermuted(back, heads) if heads else back).copy()))
            error = float(np.sqrt(((back - (permuted(values, heads) if heads else values)) ** 2).mean() / (values**2).mean()))
            assert error < 0.12, (name, hub_name, error)
    answer = expected(model, seed)
    if not telling(answer):
        writer.close()
        return build(name, folder, seed + 100)
    answer["table"] = model.model.embed_tokens.weight.detach().flatten()[:512].tolist()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_expected(path.with_suffix(".json"), answer)
    print(f"{name}: {path.stat().st_size} bytes, smallest margin {min(answer['margins'])}, {len(set(answer['greedy']))} distinct tokens, seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("types", nargs="*", help="of " + ", ".join([*PLAIN, *QUANTISED, "MIXED"]))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for number, name in enumerate([*PLAIN, *QUANTISED, "MIXED"]):
        if not arguments.types or name in arguments.types:
            build(name, arguments.folder, seed=number + 1)


if __name__ == "__main__":
    main()
