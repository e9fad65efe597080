#!/usr/bin/env python3
"""Writes the wheel verge-ai: the staged program inside a small Python package. A wheel is a zip with a list of its files."""

import argparse
import base64
import hashlib
import os
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).parent / "wheel"
# glibc 2.35 is the floor of all packages (libraries.py).
TAG = "py3-none-manylinux_2_35_x86_64"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    when = time.gmtime(max(int(os.environ["SOURCE_DATE_EPOCH"]), 315532800))[:6]  # a zip's dates begin in 1980
    info = f"verge_ai-{options.version}.dist-info"
    files = {}  # name -> (bytes, executable)

    def take(name, path):
        files[name] = (path.read_bytes(), os.access(path, os.X_OK))

    for path in sorted((HERE / "verge_ai").iterdir()):
        if path.is_file():
            take(f"verge_ai/{path.name}", path)
    for folder in ("bin", "lib", "share/verge"):
        for path in sorted((options.tree / folder).rglob("*")):
            if path.is_file():
                take(f"verge_ai/program/{path.relative_to(options.tree)}", path)
    for path in sorted((options.tree / "share/doc/verge/licences").iterdir()):
        take(f"{info}/licenses/{path.name}", path)
    for name in ("LICENSE", "NOTICE"):
        take(f"{info}/licenses/{name}", options.tree / "share/doc/verge" / name)
    metadata = f"""Metadata-Version: 2.1
Name: verge-ai
Version: {options.version}
Summary: The open, self-hosted Workers AI: the command verge, and a server for tests
License: Apache-2.0
Requires-Python: >=3.8
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

{(HERE / "README.md").read_text()}"""
    files[f"{info}/METADATA"] = (metadata.encode(), False)
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: verge scripts/package\nRoot-Is-Purelib: false\nTag: {TAG}\n".encode(), False)
    files[f"{info}/entry_points.txt"] = (b"[console_scripts]\nverge = verge_ai:main\n", False)
    record = "".join("%s,sha256=%s,%d\n" % (name, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
                     for name, (data, _) in files.items()) + f"{info}/RECORD,,\n"
    files[f"{info}/RECORD"] = (record.encode(), False)
    with zipfile.ZipFile(options.to / f"verge_ai-{options.version}-{TAG}.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as wheel:
        for name, (data, executable) in files.items():
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            wheel.writestr(entry, data)


main()
