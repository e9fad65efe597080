#!/usr/bin/env python3
"""Makes tests/data/images: a drawn picture in every encoding that media/ reads, and what Pillow makes of it.

Needs Pillow and numpy. X.jpg, X.png … are the inputs, X.ppm what Pillow decodes (EXIF applied, converted to RGB);
resize-*.ppm are Pillow's resizes of picture.ppm.
"""
import io
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageOps

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/images"
SIZE = (61, 47)


def draw(width, height, seed=0):
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(seed)
    pixels = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], -1) + rng.integers(-12, 12, (height, width, 3))
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width * 0.1, height * 0.2, width * 0.5, height * 0.8), fill=(220, 30, 40))
    pen.rectangle((width * 0.6, height * 0.1, width * 0.9, height * 0.4), fill=(20, 200, 240), outline=(0, 0, 0))
    return picture


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(array, depth, colour, interlaced=False):
    """8 or 16 bits; Pillow writes neither 16-bit RGB nor Adam7."""
    height, width = array.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for top, left, down, across in passes:
        part = array[top::down, left::across]
        if part.size:
            raw += b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b"")


def bmp(width, height, bits, compression, pixels, palette=b"", masks=b"", top_down=False):
    offset = 54 + len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, compression, len(pixels), 2835, 2835, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + masks + palette + pixels


def rle8(indices):
    out = b""
    for row in indices[::-1]:
        x = 0
        while x < len(row):
            run = 1
            while x + run < len(row) and run < 255 and row[x + run] == row[x]:
                run += 1
            out += bytes([run, row[x]])
            x += run
        out += b"\0\0"
    return out + b"\0\1"


def encodings(picture):
    array = np.asarray(picture)
    grey, palette = picture.convert("L"), picture.quantize(40)
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray(((np.indices(array.shape[:2]).sum(0) * 5) % 256).astype(np.uint8)))
    other = draw(*picture.size, seed=1)

    def save(image, form, **how):
        to = io.BytesIO()
        image.save(to, form, **how)
        return to.getvalue()

    def turned(orientation, form, **how):
        exif = Image.Exif()
        exif[0x0112] = orientation
        return save(picture, form, exif=exif, **how)

    yield "baseline.jpg", save(picture, "JPEG", quality=88)
    yield "444.jpg", save(picture, "JPEG", quality=95, subsampling=0)
    yield "422.jpg", save(picture, "JPEG", quality=90, subsampling=1)
    yield "progressive.jpg", save(picture, "JPEG", progressive=True)
    yield "restart.jpg", save(picture, "JPEG", restart_marker_blocks=1)
    yield "grey.jpg", save(grey, "JPEG")
    yield "cmyk.jpg", save(picture.convert("CMYK"), "JPEG", quality=90)
    yield "cmyk-progressive.jpg", save(picture.convert("CMYK"), "JPEG", progressive=True)
    for orientation in range(1, 9):
        yield f"turned{orientation}.jpg", turned(orientation, "JPEG", quality=90)
    yield "rgb.png", save(picture, "PNG")
    yield "turned6.png", turned(6, "PNG")
    yield "palette.png", save(palette, "PNG")
    yield "palette4.png", save(picture.quantize(13), "PNG", bits=4)
    yield "palette-transparent.png", save(palette, "PNG", transparency=3)
    yield "grey.png", save(grey, "PNG")
    yield "bits.png", save(picture.convert("1"), "PNG")
    yield "grey-alpha.png", save(alpha.convert("LA"), "PNG")
    yield "alpha.png", save(alpha, "PNG")
    yield "rgb16.png", write_png(array.astype(np.uint16) * 257 // 2 + 77, 16, 2)
    yield "interlaced.png", write_png(array, 8, 2, interlaced=True)
    yield "interlaced16.png", write_png(array.astype(np.uint16) * 251 + 5, 16, 2, interlaced=True)
    yield "animated.png", save(picture, "PNG", save_all=True, append_images=[other], duration=50)
    yield "lossy.webp", save(picture, "WEBP", quality=80)
    yield "lossless.webp", save(picture, "WEBP", lossless=True)
    yield "alpha.webp", save(alpha, "WEBP", lossless=True, exact=True)
    yield "turned8.webp", turned(8, "WEBP", lossless=True)
    yield "animated.webp", save(picture, "WEBP", lossless=True, save_all=True, append_images=[other], duration=50)
    yield "palette.gif", save(palette, "GIF", interlace=0)
    yield "interlaced.gif", save(palette, "GIF", interlace=1)
    yield "two-colours.gif", save(picture.quantize(2), "GIF")
    yield "grey.gif", save(grey, "GIF")
    yield "animated.gif", save(palette, "GIF", save_all=True, append_images=[other.quantize(40)], duration=50)
    yield "rgb.bmp", save(picture, "BMP")
    yield "palette.bmp", save(palette, "BMP")
    yield "grey.bmp", save(grey, "BMP")
    yield "bits.bmp", save(picture.convert("1"), "BMP")
    colours = np.array(palette.getpalette()[: 3 * 40], np.uint8).reshape(-1, 3)
    table = b"".join(bytes([b, g, r, 0]) for r, g, b in colours)
    yield "rle8.bmp", bmp(*SIZE, 8, 1, rle8(np.asarray(palette)), table)
    stride = (SIZE[0] * 2 + 3) // 4 * 4
    r, g, b = (array[..., i].astype(np.uint16) for i in range(3))
    packed = ((r >> 3) << 11 | (g >> 2) << 5 | b >> 3).astype("<u2")
    rows = b"".join(row.tobytes().ljust(stride, b"\0") for row in packed[::-1])
    yield "masks565.bmp", bmp(*SIZE, 16, 3, rows, masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F))
    bgrx = np.concatenate([array[..., ::-1], np.zeros(array.shape[:2] + (1,), np.uint8)], -1)
    yield "top-down32.bmp", bmp(*SIZE, 32, 0, bgrx.tobytes(), top_down=True)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        if old.name != "README.md":
            old.unlink()
    picture = draw(*SIZE)
    for name, data in encodings(picture):
        (OUT / name).write_bytes(data)
        decoded = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        decoded.save(OUT / (name + ".ppm"))
    picture.save(OUT / "picture.ppm")
    filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
    for name, number in filters.items():
        for width, height in ((30, 20), (100, 90), (61, 17), (7, 47), (3, 90)):
            picture.resize((width, height), number).save(OUT / f"resize-{name}-{width}x{height}.ppm")
    picture.resize((24, 24), 3, box=(10.5, 3.25, 50.75, 44)).save(OUT / "box-bicubic-24x24.ppm")
    for file in sorted(OUT.iterdir()):
        if file.stat().st_size > 40000:
            sys.exit(f"{file} is large: {file.stat().st_size}")


main()
