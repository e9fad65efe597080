#!/usr/bin/env python3
"""Writes GGUF files with the shape of Llama 3.2 1B and random weights, for speed measurements.

    make_synthetic.py FOLDER [q4_0 q4_1 q4_k q4_k_m q8_0 bf16 …]

Speed depends on shapes, types and layout, not on values; so blocks are drawn at random directly in their
storage form, with scales that give weights a standard deviation near 0.02, instead of quantising 1.2 billion
floats. The token embedding is tied to the output and of the type that llama.cpp's quantiser gives it. The vocabulary
has Llama 3's size and a working byte-level BPE (all pairs of bytes and some triples), so that any text can be
tokenised. Equal seeds give equal files. Needs numpy and gguf.
"""

import argparse
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM = 16, 2048, 8192, 32, 8, 64
VOCABULARY, CONTEXT, ROPE_BASE = 128256, 131072, 500000.0
STD = 0.02

# type of the matrices, type of the tied embedding, llama.cpp's file type
FILES = {
    "q4_0": (T.Q4_0, T.Q6_K, gguf.LlamaFileType.MOSTLY_Q4_0),
    "q4_1": (T.Q4_1, T.Q6_K, gguf.LlamaFileType.MOSTLY_Q4_1),
    "q4_k": (T.Q4_K, T.Q6_K, gguf.LlamaFileType.MOSTLY_Q4_K_S),
    "q4_k_m": (T.Q4_K, T.Q6_K, gguf.LlamaFileType.MOSTLY_Q4_K_M),
    "q8_0": (T.Q8_0, T.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "bf16": (T.BF16, T.BF16, gguf.LlamaFileType.MOSTLY_BF16),
}


def scales(rng, blocks, typical):
    """f16 block scales spread by +-20 % around `typical`, as bytes {blocks, 2}."""
    values = typical * (0.8 + 0.4 * rng.random(blocks, dtype=np.float32))
    return values.astype(np.float16).view(np.uint8).reshape(blocks, 2)


def random_bytes(rng, blocks, count):
    return np.frombuffer(rng.bytes(blocks * count), np.uint8).reshape(blocks, count)


def pack_k4_scales(scale, minimum):
    """6-bit scales and minima {blocks, 8} -> the 12 bytes of Q4_K and Q5_K."""
    packed = np.empty((len(scale), 12), np.uint8)
    packed[:, 0:4] = scale[:, :4] | (scale[:, 4:] >> 4 << 6)
    packed[:, 4:8] = minimum[:, :4] | (minimum[:, 4:] >> 4 << 6)
    packed[:, 8:12] = (scale[:, 4:] & 15) | ((minimum[:, 4:] & 15) << 4)
    return packed


def random_tensor(rng, kind, rows, columns):
    """A {rows, columns} weight in storage form: uint8 {rows, bytes per row}, zero mean, deviation STD."""
    count = rows * columns
    uniform = 1 / np.sqrt(12)  # deviation of a uniform variable, in units of its span
    if kind == T.BF16:
        values = (rng.random(count, dtype=np.float32) - 0.5) * np.float32(STD / uniform)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(rows, -1)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n = count // block
    if kind == T.Q4_0:
        parts = [scales(rng, n, STD / (16 * uniform)), random_bytes(rng, n, 16)]
    elif kind == T.Q4_1:
        d = scales(rng, n, STD / (16 * uniform))
        m = (d.view(np.float16).astype(np.float32) * -7.5).astype(np.float16).view(np.uint8).reshape(n, 2)
        parts = [d, m, random_bytes(rng, n, 16)]
    elif kind == T.Q8_0:
        parts = [scales(rng, n, STD / (256 * uniform)), random_bytes(rng, n, 32)]
    elif kind == T.Q4_K:
        scale = rng.integers(32, 64, (n, 8), dtype=np.uint8)
        d = scales(rng, n, STD / (47.5 * 16 * uniform))
        dmin = (d.view(np.float16).astype(np.float32) * 7.5).astype(np.float16).view(np.uint8).reshape(n, 2)
        parts = [d, dmin, pack_k4_scales(scale, scale), random_bytes(rng, n, 128)]
    elif kind == T.Q6_K:
        scale = rng.integers(64, 128, (n, 16), dtype=np.uint8)
        parts = [random_bytes(rng, n, 128), random_bytes(rng, n, 64), scale, scales(rng, n, STD / (95.5 * 64 * uniform))]
    else:
        raise ValueError(f"no random blocks for {kind.name}")
    data = np.concatenate(parts, axis=1)
    assert data.shape[1] == size
    return data.reshape(rows, -1)


def vocabulary():
    """Tokens, types and merges of a byte-level BPE of VOCABULARY tokens, special ids as in Llama 3."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {byte: chr(byte) for byte in printable}, 0
    for byte in range(256):  # GPT-2's mapping of bytes to characters
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    units = [table[byte] for byte in range(256)]
    tokens = list(units)
    merges = []
    for a in units:
        for b in units:
            tokens.append(a + b)
            merges.append(f"{a} {b}")
    letters = [table[byte] for byte in b" etaoinshrdlcumwfgypbvkjxqzETAOINSHRDLCUM"[:41]]
    for a in letters:
        for b in letters:
            for c in letters:
                if len(tokens) < VOCABULARY - 256:
                    tokens.append(a + b + c)
                    merges.append(f"{a + b} {c}")
    assert len(tokens) == VOCABULARY - 256
    types = [gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL] * 256
    special = [f"<|reserved_special_token_{i}|>" for i in range(256)]
    special[0], special[1], special[9] = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
    return tokens + special, types, merges


def rope_factors():
    """Llama 3's scaling as divisors of the frequencies: factor 32, low 1, high 4, trained on 8192 positions."""
    frequencies = 1 / ROPE_BASE ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    wavelength = 2 * np.pi / frequencies
    smooth = (8192 / wavelength - 1) / (4 - 1)
    middle = 1 / ((1 - smooth) / 32 + smooth)
    return np.where(wavelength < 8192 / 4, 1, np.where(wavelength > 8192 / 1, 32, middle)).astype(np.float32)


def matrices(layer):
    return {
        f"blk.{layer}.attn_q.weight": (HEADS * HEAD_DIM, WIDTH),
        f"blk.{layer}.attn_k.weight": (KV_HEADS * HEAD_DIM, WIDTH),
        f"blk.{layer}.attn_v.weight": (KV_HEADS * HEAD_DIM, WIDTH),
        f"blk.{layer}.attn_output.weight": (WIDTH, HEADS * HEAD_DIM),
        f"blk.{layer}.ffn_gate.weight": (FEED_FORWARD, WIDTH),
        f"blk.{layer}.ffn_up.weight": (FEED_FORWARD, WIDTH),
        f"blk.{layer}.ffn_down.weight": (WIDTH, FEED_FORWARD),
    }


def matrix_type(name, layer, file_type, kind):
    """Q4_K_M holds the value and down matrices of half the layers in Q6_K, as llama.cpp does."""
    more = layer < LAYERS // 8 or layer >= 7 * LAYERS // 8 or (layer - LAYERS // 8) % 3 == 2
    sensitive = "attn_v" in name or "ffn_down" in name
    return T.Q6_K if file_type == gguf.LlamaFileType.MOSTLY_Q4_K_M and more and sensitive else kind


def write(path, kind, embedding, file_type, seed):
    rng = np.random.Generator(np.random.SFC64(seed))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("synthetic, Llama 3.2 1B shape")
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    tokens, types, merges = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(128000)
    writer.add_eos_token_id(128009)
    writer.add_add_bos_token(True)

    ones = np.ones(WIDTH, np.float32)
    plan = [("token_embd.weight", embedding, (VOCABULARY, WIDTH)), ("rope_freqs.weight", rope_factors(), None), ("output_norm.weight", ones, None)]
    for layer in range(LAYERS):
        plan += [(f"blk.{layer}.attn_norm.weight", ones, None), (f"blk.{layer}.ffn_norm.weight", ones, None)]
        plan += [(name, matrix_type(name, layer, file_type, kind), shape) for name, shape in matrices(layer).items()]
    for name, content, shape in plan:
        if shape is None:
            writer.add_tensor_info(name, content.shape, content.dtype, content.nbytes)
        else:
            block, size = gguf.GGML_QUANT_SIZES[content]
            row_bytes = shape[1] // block * size
            writer.add_tensor_info(name, (shape[0], row_bytes), np.dtype(np.uint8), shape[0] * row_bytes, raw_dtype=content)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, content, shape in plan:  # one tensor in memory at a time
        writer.write_tensor_data(content if shape is None else random_tensor(rng, content, *shape))
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("types", nargs="*", help="of " + ", ".join(FILES))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.types or ["q4_0", "q4_1", "q4_k", "q8_0", "bf16"]:
        if name not in FILES:
            parser.error(f"unknown type {name}")
        path = arguments.folder / f"llama-1b-{name}.gguf"
        write(path.with_suffix(".part"), *FILES[name], arguments.seed)
        path.with_suffix(".part").rename(path)
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
