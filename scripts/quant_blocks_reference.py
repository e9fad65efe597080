#!/usr/bin/env python3
"""Writes blocks of every storage type that random_blocks.py knows, with their values as the gguf package (0.19) reads them.

    quant_blocks_reference.py tests/data/reference/quant/blocks.json

Per type: "blocks" and "values" (f32), both in base64: random codes under a usual, a negative, a subnormal and no scale, and all bits set.
"""

import base64
import json
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, quants

from random_blocks import TYPES, random_blocks, set_scale


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def main():
    answer = {}
    for number, kind in enumerate(TYPES):
        generator = np.random.default_rng(number)
        each = 256 // GGML_QUANT_SIZES[kind][0]
        parts = [random_blocks(kind, each, scale, generator) for scale in (0.0123, -0.5, 3e-7, 0)]
        ones = np.full_like(parts[0], 255)
        set_scale(ones, kind, 1)
        blocks = np.concatenate([*parts, ones])
        values = quants.dequantize(blocks, kind).astype(np.float32)
        assert np.isfinite(values).all()
        answer[kind.name] = {"blocks": text(blocks), "values": text(values)}
    rows = ",\n".join(f' "{name}": {json.dumps(one)}' for name, one in answer.items())
    pathlib.Path(sys.argv[1]).write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
