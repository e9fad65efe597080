#!/usr/bin/env python3
"""Writes a GGUF file with the tokenizer of another one and no weights: small enough for tests.

usage: vocab_only.py MODEL.gguf OUT.gguf

Keeps general.architecture, general.name and tokenizer.* as they are, byte for byte.
"""
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # by GGUF's type number
STRING, ARRAY = 8, 9


def string_end(data, at):
    return at + 8 + struct.unpack_from("<Q", data, at)[0]


def value_end(data, at, kind):
    if kind == STRING:
        return string_end(data, at)
    if kind != ARRAY:
        return at + SIZES[kind]
    item, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if item in SIZES:
        return at + SIZES[item] * count
    for _ in range(count):
        at = value_end(data, at, item)
    return at


def main(source, target):
    with open(source, "rb") as file:
        data = file.read()
    magic, version, _tensors, values = struct.unpack_from("<4sIQQ", data)
    if magic != b"GGUF" or version < 2:
        sys.exit(f"{source}: no GGUF file of version 2 or 3")
    at, kept = 24, []
    for _ in range(values):
        start = at
        at = string_end(data, at)
        key = data[start + 8 : at].decode()
        (kind,) = struct.unpack_from("<I", data, at)
        at = value_end(data, at + 4, kind)
        if key.startswith("tokenizer.") or key in ("general.architecture", "general.name"):
            kept.append(data[start:at])
    with open(target, "wb") as file:
        file.write(struct.pack("<4sIQQ", magic, version, 0, len(kept)) + b"".join(kept))
    print(f"{target}: {len(kept)} values, {24 + sum(map(len, kept))} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    main(sys.argv[1], sys.argv[2])
