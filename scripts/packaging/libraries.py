#!/usr/bin/env python3
"""Copies the shared libraries that a program needs, but for the C library, into a folder beside it.

The C library stays the machine's own: FLOOR is the oldest that will do, and a library that needs a newer one ends the
packaging. FFmpeg comes from --audio; ICU's data is cut to the converters, which is all that Verge uses of it.
"""

import argparse
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

FLOOR = (2, 35)  # Ubuntu 22.04; Debian 12 has 2.36
SYSTEM = re.compile(r"^(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|anl)\.so.*|linux-vdso.*)$")
ANY_VERSION = 1  # VER_NDX_GLOBAL


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def needed(program, audio):
    """Name -> file of each library, libraries of libraries too."""
    found = {}
    for line in run("ldd", program, env={**os.environ, "LD_LIBRARY_PATH": str(audio)}).splitlines():
        name, _, rest = line.strip().partition(" => ")
        if not rest or SYSTEM.match(name):
            continue
        file = rest.split(" (")[0]
        if file == "not found":
            raise SystemExit(f"error: {name} is not on this machine")
        found[name] = Path(file).resolve()
    return found


def glibc_needs(file):
    """(version, symbol) of what a file takes from the C library."""
    pattern = re.compile(r"\*UND\*.*\(?GLIBC_(\d+)\.(\d+)[\d.]*\)?\s+(\S+)$")
    return [((int(m[1]), int(m[2])), m[3]) for m in map(pattern.search, run("objdump", "-T", str(file)).splitlines()) if m]


def sections(data):
    """Name -> (offset, size, link) of an ELF64 file's sections."""
    start, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
    text = heads[names][4]
    return {data[text + h[0]:data.index(b"\0", text + h[0])].decode(): (h[4], h[5], h[6]) for h in heads}


def unbind_version(file, symbol, version):
    """Takes the version from a symbol that a library needs of the C library, and no longer asks for that version.

    libstdc++ of GCC 12 takes arc4random from glibc 2.36 for std::random_device. The symbol is looked up at its first call,
    and nothing in the package calls it: see check_random_device.
    """
    data = bytearray(file.read_bytes())
    table = sections(data)
    strings = table[".dynstr"][0]

    def text(at):
        return data[strings + at:data.index(b"\0", strings + at)].decode()

    symbols, size, _ = table[".dynsym"]
    for i in range(size // 24):
        name, = struct.unpack_from("<I", data, symbols + 24 * i)
        if text(name) == symbol:
            struct.pack_into("<H", data, table[".gnu.version"][0] + 2 * i, ANY_VERSION)
    at = table[".gnu.version_r"][0]
    while True:
        _, count, _, aux, following = struct.unpack_from("<HHIII", data, at)
        entries, entry = {}, at + aux
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, entry)
            entries[text(name)] = entry
            entry += step
        if version in entries:  # its place is taken by one that every C library has
            hashed, _, _, name, _ = struct.unpack_from("<IHHII", data, entries["GLIBC_2.2.5"])
            struct.pack_into("<I", data, entries[version], hashed)
            struct.pack_into("<I", data, entries[version] + 8, name)
        if following == 0:
            break
        at += following
    file.write_bytes(data)


def check_random_device(files):
    for file in files:
        if not file.name.startswith("libstdc++") and "_ZNSt13random_device" in run("objdump", "-T", str(file)):
            raise SystemExit(f"error: {file.name} uses std::random_device, which needs glibc 2.36 in this package")


def check_floor(files):
    for file in files:
        for version, symbol in glibc_needs(file):
            if version <= FLOOR:
                continue
            if file.name.startswith("libstdc++") and symbol == "arc4random":
                unbind_version(file, symbol, "GLIBC_%d.%d" % version)
            else:
                raise SystemExit("error: %s needs %s of glibc %d.%d; packages promise %d.%d" % (file.name, symbol, *version, *FLOOR))


def cut_icu_data(file, cache):
    """A library with the converters of ICU's data: 4 MB instead of 31. Made once for a version of the library."""
    made = cache / f"{file.name}-{file.stat().st_size}"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    symbol, offset, size = None, 0, 0
    for line in run("readelf", "-W", "--dyn-syms", str(file)).splitlines():
        if m := re.search(r"^\s*\d+: ([0-9a-f]+)\s+(\d+|0x[0-9a-f]+) OBJECT .* (icudt\d+_dat)$", line):
            symbol, offset, size = m[3], int(m[1], 16), int(m[2], 0)
    raw = file.read_bytes()
    # The data is at the same place in the file as in memory where the first segment has it; ask the headers.
    for line in run("readelf", "-W", "-l", str(file)).splitlines():
        if m := re.match(r"\s*LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", line):
            start, address, length = (int(g, 16) for g in m.groups())
            if address <= offset < address + length:
                offset = offset - address + start
                break
    name = symbol.removesuffix("_dat") + "l"  # icupkg knows the byte order by the name
    whole, part, unwanted = cache / f"{name}.dat", cache / "part" / f"{name}.dat", cache / "unwanted.txt"
    part.parent.mkdir(exist_ok=True)
    whole.write_bytes(raw[offset:offset + size] if size else raw[offset:])
    items = run("icupkg", "-l", str(whole)).split()
    unwanted.write_text("\n".join(i for i in items if not i.endswith(".cnv") and i != "cnvalias.icu") + "\n")
    run("icupkg", "-r", str(unwanted), str(whole), str(part))
    source = cache / "data.s"
    source.write_text(f""".section .note.GNU-stack,"",@progbits
.section .rodata
.balign 16
.globl {symbol}
.type {symbol}, @object
{symbol}:
.incbin "{part.resolve()}"
.size {symbol}, . - {symbol}
""")
    soname = re.match(r"libicudata\.so\.\d+", file.name)[0]
    new = made.with_suffix(".new")
    run("gcc", "-shared", "-nostdlib", "-Wl,--build-id=none", f"-Wl,-soname,{soname}", "-o", str(new), str(source))
    new.rename(made)
    return made


def copy_licences(libraries, audio, to):
    """The copyright file of each Debian package that a library comes from."""
    to.mkdir(parents=True, exist_ok=True)
    for file in libraries:
        if file.is_relative_to(audio.resolve()):
            continue
        for path in (str(file), str(file).removeprefix("/usr")):  # dpkg knows one of both
            owner = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True, check=False).stdout.split(":")[0]
            if owner:
                break
        else:
            raise SystemExit(f"error: no Debian package has {file}: its licence is not known")
        shutil.copyfile(f"/usr/share/doc/{owner}/copyright", to / owner)
    shutil.copyfile(audio / "COPYING.LGPLv2.1", to / "ffmpeg")
    shutil.copyfile(audio / "BUILD", to / "ffmpeg-build")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("program", "audio", "to", "licences", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    found = needed(options.program, options.audio)
    copies = []
    for name, file in found.items():
        source = cut_icu_data(file, options.cache) if name.startswith("libicudata") else file
        copies.append(options.to / name)
        shutil.copyfile(source, copies[-1])
        copies[-1].chmod(0o644)
        if file.is_relative_to(options.audio.resolve()):
            run("strip", "--strip-unneeded", str(copies[-1]))
    check_floor([options.program, *copies])
    check_random_device([options.program, *copies])
    copy_licences(found.values(), options.audio, options.licences)
    size = sum(f.stat().st_size for f in [options.program, *copies])
    print(f"    the program and {len(copies)} libraries: {size / 1e6:.1f} MB; needs glibc {FLOOR[0]}.{FLOOR[1]}")
    if size > 60e6:
        raise SystemExit("error: more than 60 MB")


main()
