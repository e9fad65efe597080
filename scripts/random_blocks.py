"""Blocks of the storage types that the gguf package reads but has no quantiser for: random codes under a chosen scale."""

import numpy as np
from gguf import GGML_QUANT_SIZES, quants
from gguf import GGMLQuantizationType as T

# Where a block's f16 scale lies. IQ1_M spreads it over four words, MXFP4 has an exponent.
SCALE_AT = {T.Q2_K: 80, T.Q3_K: 108, T.IQ1_S: 0, T.IQ2_XXS: 0, T.IQ2_XS: 0, T.IQ2_S: 0, T.IQ3_XXS: 0, T.IQ3_S: 0, T.IQ4_NL: 0, T.IQ4_XS: 0,
            T.TQ1_0: 52, T.TQ2_0: 64}  # fmt: skip
TYPES = [*SCALE_AT, T.IQ1_M, T.MXFP4]


def half(value):
    return np.array([value], dtype=np.float16).view(np.uint8)


def set_scale(blocks, kind, scale):
    """blocks: u8 {n, bytes}."""
    if kind == T.MXFP4:
        blocks[:, 0] = 0 if scale == 0 else np.clip(128 + round(np.log2(abs(scale))), 0, 254)
    elif kind == T.IQ1_M:
        bits = int(half(scale).view(np.uint16)[0])
        for word in range(4):
            high = blocks[:, 48 + 2 * word + 1]
            blocks[:, 48 + 2 * word + 1] = (high & 15) | (((bits >> (4 * word)) & 15) << 4)
    else:
        blocks[:, SCALE_AT[kind] : SCALE_AT[kind] + 2] = half(scale)
        if kind == T.Q2_K:
            blocks[:, 82:84] = half(scale * 1.5)  # as much as the mean of scale times code


def random_blocks(kind, count, scale, generator):
    blocks = generator.integers(0, 256, (count, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    set_scale(blocks, kind, scale)
    return blocks


def random_weights(kind, rows, columns, deviation, seed):
    """Storage bytes {rows, bytes} whose values have the given standard deviation."""
    size, length = GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(seed)
    blocks = random_blocks(kind, rows * columns // size, 1, generator)
    set_scale(blocks, kind, deviation / quants.dequantize(blocks, kind).std())
    return blocks.reshape(rows, columns // size * length)
