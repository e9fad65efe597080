#!/usr/bin/env python3
"""Writes src/engine/formats/codebook_grids.cpp from the tables in the gguf Python package.

    make_codebook_grids.py src/engine/formats/codebook_grids.cpp

Needs gguf (0.19) and numpy.
"""

import pathlib
import sys

import numpy as np
from gguf import quants

TABLES = [("kIq1", quants.IQ1_S, 2), ("kIq2Xxs", quants.IQ2_XXS, 2), ("kIq2Xs", quants.IQ2_XS, 2), ("kIq2S", quants.IQ2_S, 2),
          ("kIq3Xxs", quants.IQ3_XXS, 4), ("kIq3S", quants.IQ3_S, 4)]  # fmt: skip

HEAD = """// Made by scripts/make_codebook_grids.py from gguf/quants.py of the gguf Python package 0.19 (MIT licence,
// Copyright (c) 2023 Georgi Gerganov). Meaning of an entry: codebook_grids.h.
#include "engine/formats/codebook_grids.h"

namespace verge::engine::grids {
"""


def entries(kind, bits):
    kind.init_grid()
    grid = kind.grid.reshape(kind.grid_shape).astype(int)
    digits = np.searchsorted(kind.grid_map, grid)
    assert (np.array(kind.grid_map)[digits] == grid).all()
    return (digits << (bits * np.arange(kind.grid_shape[1]))).sum(axis=1)


def main():
    text = HEAD
    for name, kind, bits in TABLES:
        values = [f"0x{value:04x}" for value in entries(kind, bits)]
        rows = "\n".join("    " + ", ".join(values[at : at + 11]) + "," for at in range(0, len(values), 11))
        text += f"\nextern const uint16_t {name}[{len(values)}] = {{\n{rows}\n}};\n"
    pathlib.Path(sys.argv[1]).write_text(text + "\n}  // namespace verge::engine::grids\n")


if __name__ == "__main__":
    main()
