"""Each package of dist/: installed where nothing else is, it starts, answers and goes without a trace."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r"^project\(verge VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
DIST = ROOT / "dist"
STORY = ["run", "@verge/stories-260k", "Once upon a time", "--seed", "1", "--temperature", "0", "--max-tokens", "12"]
LIBC = ["libc.so.6", "libm.so.6", "libresolv.so.2"]  # with the loader, all that a package takes from the machine

can_chroot = os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode == 0
needs_root = pytest.mark.skipif(not can_chroot, reason="an empty root needs the rights of root")


def only(pattern):
    found = [p for p in DIST.glob(pattern) if VERSION in p.name]
    assert len(found) == 1, f"dist/{pattern}: {found}"
    return found[0]


def unpack(file, to):
    subprocess.run(["tar", "-C", to, "-xf", file], check=True)


def add_libc(root):
    (root / "lib64").mkdir(exist_ok=True)
    (root / "lib/x86_64-linux-gnu").mkdir(parents=True, exist_ok=True)
    shutil.copy("/lib64/ld-linux-x86-64.so.2", root / "lib64")
    for name in LIBC:
        shutil.copy(f"/lib/x86_64-linux-gnu/{name}", root / "lib/x86_64-linux-gnu")
    for name in ("tmp", "root", "proc", "dev"):
        (root / name).mkdir(exist_ok=True)


def inside(root, *command, user=None, check=True):
    """Runs a program in the root, with /proc and /dev, without a network, as nobody else's child."""
    script = f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot {'--userspec=' + user if user else ''} {root} \"$@\""
    done = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", script, "-", *command],
                          capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_story(text):
    assert "there was a little girl named Lily" in text, text


@pytest.fixture
def empty(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    add_libc(root)
    return root


@needs_root
def test_tarball_answers_in_an_empty_root(empty):
    opt = empty / "opt"
    opt.mkdir()
    unpack(only("verge-*-linux-x86_64.tar.gz"), opt)
    program = f"/opt/verge-{VERSION}/bin/verge"
    assert VERSION in inside(empty, program, "--version")
    read_story(inside(empty, program, *STORY))


def test_tarball_answers_a_request_from_anywhere(tmp_path):
    unpack(only("verge-*-linux-x86_64.tar.gz"), tmp_path)
    program = tmp_path / "a folder" / "bin" / "verge"
    (tmp_path / f"verge-{VERSION}").rename(tmp_path / "a folder")
    # It has what it was not built with: its own libraries, even where the environment names others.
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    foreign = [line for line in loaded.splitlines() if "=>" in line and "a folder/" not in line and not re.search(r"\blib(c|m|resolv)\.so", line)]
    assert foreign == []
    server = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--drain-delay", "0"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in server.stdout:
            if found := re.search(r"serving address=(\S+)", line):
                break
        answer = subprocess.run([program, STORY[0], "--server", found[1], *STORY[1:]], capture_output=True, text=True, check=True)
        read_story(answer.stdout)
    finally:
        server.terminate()
        server.communicate()
    assert server.returncode == 0


def test_program_and_libraries_are_small_and_need_an_old_glibc(tmp_path):
    unpack(only("verge-*-linux-x86_64.tar.gz"), tmp_path)
    top = tmp_path / f"verge-{VERSION}"
    files = [top / "bin/verge", *(top / "lib/verge").iterdir()]
    assert sum(f.stat().st_size for f in files) <= 60e6
    asked = subprocess.run(["readelf", "-W", "-V", *files], capture_output=True, text=True, check=True).stdout
    newest = max(tuple(map(int, v)) for v in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", asked))
    assert newest <= (2, 35)


def test_every_library_has_its_licence_and_no_gpl_codec_is_in(tmp_path):
    unpack(only("verge-*-linux-x86_64.tar.gz"), tmp_path)
    top = tmp_path / f"verge-{VERSION}"
    assert not [f.name for f in (top / "lib/verge").iterdir() if re.match(r"lib(x26[45]|xvid|postproc)", f.name)]
    licences = {f.name for f in (top / "share/doc/verge/licences").iterdir()}
    assert {"ffmpeg", "ffmpeg-build", "libicu72", "libssl3"} <= licences


def test_help_is_in_man_pages_and_completions(tmp_path):
    unpack(only("verge-*-linux-x86_64.tar.gz"), tmp_path)
    share = tmp_path / f"verge-{VERSION}" / "share"
    helped = subprocess.run([os.environ["VERGE_BINARY"], "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+) ", helped, re.M)
    bash = (share / "bash-completion/completions/verge").read_text()
    for command in commands:
        assert (share / f"man/man1/verge-{command}.1").exists(), command
        for file in ("man/man1/verge.1", "zsh/vendor-completions/_verge", "fish/vendor_completions.d/verge.fish"):
            assert command in (share / file).read_text()
    assert str(Path.home()) + "/" not in (share / "man/man1/verge-serve.1").read_text().replace("~/", "")

    def complete(*words):
        line = " ".join(f"'{w}'" for w in words)
        script = f"{bash}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _verge; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert complete("verge", "ser") == ["serve"]
    assert "--stand-ins" in complete("verge", "serve", "--st")
    assert complete("verge", "cluster", "in") == ["init"]
    assert complete("verge", "serve", "--role", "g") == ["gateway"]


@needs_root
@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg is not here")
def test_deb_upgrades_keeping_data_and_purges_without_a_trace(tmp_path):
    """By dpkg --root on a root with a user database; the scripts of the package run in it."""
    root = tmp_path / "root"
    root.mkdir()
    add_libc(root)
    # What the scripts run: the shell, coreutils and shadow's programs, with their libraries.
    tools = ["/bin/sh", "/usr/bin/getent", "/usr/bin/install", "/bin/rm", "/usr/sbin/useradd", "/usr/sbin/userdel", "/usr/sbin/groupdel"]
    for tool in tools:
        libraries = re.findall(r"(/\S+\.so\S*) \(", subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout)
        for file in [tool, *libraries]:
            (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / file[1:])
    etc = root / "etc"
    etc.mkdir()
    for name, text in {"passwd": "root:x:0:0:root:/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "root:*:1::::::\n", "gshadow": "root:*::\n", "login.defs": ""}.items():
        (etc / name).write_text(text)
    (etc / "default").mkdir()
    database = root / "var/lib/dpkg"
    for name in ("info", "updates", "triggers"):
        (database / name).mkdir(parents=True)
    (database / "status").write_text("")
    for name in ("usr/lib/systemd/system", "usr/share/doc", "var/cache", "usr/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)

    def files():
        return {str(p.relative_to(root)) for p in root.rglob("*") if not str(p).startswith(str(database))}

    def dpkg(*words):
        done = subprocess.run(["dpkg", f"--root={root}", "--force-depends", "--log=/dev/null", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    (root / "dev/null").touch()
    before = files()
    deb = str(only("verge_*_amd64.deb"))
    dpkg("-i", deb)
    assert "verge:x:" in (etc / "passwd").read_text()
    read_story(inside(root, "/usr/bin/verge", *STORY))
    data = root / "var/lib/verge"
    owner = data.stat()
    assert owner.st_uid != 0 and owner.st_mode & 0o777 == 0o750
    (data / "kept").write_text("data")
    dpkg("-i", deb)
    assert (data / "kept").read_text() == "data"
    dpkg("-r", "verge")
    assert (data / "kept").exists() and not (root / "usr/bin/verge").exists()
    dpkg("-P", "verge")
    assert "verge" not in (etc / "passwd").read_text() + (etc / "group").read_text()
    left = {f for f in files() - before if not re.fullmatch(r"etc/(passwd|group|shadow|gshadow)-|etc/\.pwd\.lock|etc/sub[ug]id-?", f)}
    assert left == set()


@needs_root
def test_image_answers_as_its_user(tmp_path):
    image = tmp_path / "image"
    image.mkdir()
    unpack(only("verge-image-*.tar"), image)
    manifest, = json.loads((image / "manifest.json").read_text())
    configuration = json.loads((image / manifest["Config"]).read_text())["config"]
    index = json.loads((image / "index.json").read_text())
    assert (image / "blobs/sha256" / index["manifests"][0]["digest"].removeprefix("sha256:")).exists()
    assert configuration["User"] not in ("", "0", "root", "0:0")
    root = tmp_path / "root"
    root.mkdir()
    unpack(image / manifest["Layers"][0], root)
    assert not (root / "bin").exists() and not list(root.rglob("sh"))  # no shell
    for name in ("proc", "dev"):
        (root / name).mkdir()
    read_story(inside(root, configuration["Entrypoint"][0], *STORY, user=configuration["User"]))


def test_npm_package_runs_the_program_with_its_own_workers(tmp_path):
    if not shutil.which("node"):
        pytest.skip("node is not here")
    modules = tmp_path / "node_modules"
    for name in ("verge-workers", "verge-linux-x64"):
        (modules / name).mkdir(parents=True)
        unpack(only(f"{name}-*.tgz"), tmp_path)
        shutil.copytree(tmp_path / "package", modules / name, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "package")
        assert json.loads((modules / name / "package.json").read_text())["version"] == VERSION
    package = json.loads((modules / "verge-workers/package.json").read_text())
    assert package["optionalDependencies"]["verge-linux-x64"] == VERSION
    command = ["node", modules / "verge-workers" / package["bin"]["verge"]]
    read_story(subprocess.run([*command, *STORY], capture_output=True, text=True, check=True).stdout)
    # Where npm has put wrangler is where it is taken from; nothing is fetched.
    install = modules / "verge-workers/install"
    assert subprocess.run([install], capture_output=True).returncode == 1
    (modules / "wrangler").mkdir()
    assert subprocess.run([install], capture_output=True, text=True, check=True).stdout.strip() == str(tmp_path)
    # Without the platform's package it says which one is missing.
    shutil.rmtree(modules / "verge-linux-x64")
    failed = subprocess.run([*command, "--version"], capture_output=True, text=True)
    assert failed.returncode == 1 and f"verge-linux-x64@{VERSION}" in failed.stderr


def test_wheel_serves_in_a_with_block_and_is_listed_whole(tmp_path):
    wheel = only("verge_ai-*.whl")
    with zipfile.ZipFile(wheel) as files:
        record = files.read(f"verge_ai-{VERSION}.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(files.namelist())
        assert "verge_ai/py.typed" in files.namelist()
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    assert VERSION in subprocess.run([venv / "bin/verge", "--version"], capture_output=True, text=True, check=True).stdout
    script = textwrap.dedent("""
        import os
        from verge_ai import VergeError, serve
        with serve(stand_ins=True) as server:
            folder = server._own_folder
            print(server.run("@verge/stories-260k", {"prompt": "Once upon a time", "seed": 1, "temperature": 0, "max_tokens": 12})["response"])
            try:
                server.run("@cf/no/such-model", {"prompt": "x"})
            except VergeError as error:
                assert str(error).startswith("400") or str(error).startswith("404"), error
        assert not os.path.exists(folder)
        try:
            serve(options=["--no-such-option"])
        except VergeError as error:
            assert "--no-such-option" in str(error)
    """)
    read_story(subprocess.run([venv / "bin/python", "-c", script], capture_output=True, text=True, check=True).stdout)
    subprocess.run([venv / "bin/pip", "uninstall", "--quiet", "--yes", "verge-ai"], check=True)
    assert not [p for p in venv.rglob("*verge*") if "__pycache__" not in str(p)]


def test_versions_are_one():
    assert json.loads((ROOT / "workers/package.json").read_text())["version"] == VERSION
    assert re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == VERSION


def test_program_without_arguments_says_what_to_do_first():
    said = subprocess.run([os.environ["VERGE_BINARY"]], capture_output=True, text=True).stderr
    listed = subprocess.run([os.environ["VERGE_BINARY"], "--help"], capture_output=True, text=True, check=True).stdout
    steps = re.findall(r"^  verge (\w+)", said, re.M)
    assert {"run", "pull", "serve", "dev"} <= set(steps)
    assert all(re.search(rf"^  {step} ", listed, re.M) for step in steps)


def test_codecs_that_the_sources_name_are_in_the_packages_ffmpeg(tmp_path):
    unpack(only("verge-*-linux-x86_64.tar.gz"), tmp_path)
    libraries = tmp_path / f"verge-{VERSION}" / "lib/verge"
    codec = subprocess.run([sys.executable, "-c", CODECS, *read_codecs()], capture_output=True, text=True,
                           env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    assert codec.returncode == 0, codec.stdout + codec.stderr


CODECS = """
import ctypes, sys
codec = ctypes.CDLL("libavcodec.so.59")
missing = []
for name in sys.argv[1:]:
    kind, _, name = name.partition(":")
    find = getattr(codec, f"avcodec_find_{kind}_by_name")
    find.restype = ctypes.c_void_p
    if not find(name.encode()):
        missing.append(f"{kind} {name}")
sys.exit(f"not in the package: {missing}" if missing else 0)
"""


def read_codecs():
    decoders = re.search(r"kCodecs =(.*?);", (ROOT / "src/media/audio.cpp").read_text(), re.S)[1]
    own = {"adpcm_g722": "g722", "adpcm_g726": "g726"}  # configure's name and the decoder's
    names = ["decoder:" + own.get(name, name) for name in "".join(re.findall(r'"([^"]*)"', decoders)).split(",")]
    encoders = re.findall(r'\{"\w+", "(\w+)", "\w+", ["n]', (ROOT / "src/media/audio_encoder.cpp").read_text())
    assert len(names) > 50 and len(encoders) >= 7
    return names + ["encoder:" + name for name in encoders]
