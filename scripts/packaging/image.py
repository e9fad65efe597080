#!/usr/bin/env python3
"""Writes an image that `docker load`, podman and containerd take: the staged tree on a root with the C library and nothing else.

No Docker is needed: an image is a tar of a layer, a configuration and manifests (OCI image layout, with Docker's manifest.json).
The program runs as user 65532, which owns /var/lib/verge.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

USER = 65532
# The C library's parts that the package leaves to the machine; those of name service are loaded by it.
LIBC = ["libc.so.6", "libm.so.6", "libresolv.so.2", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libnss_dns.so.2", "libnss_files.so.2"]
FOLDER = Path("/lib/x86_64-linux-gnu")


class Layer:
    """A tar whose bytes depend on its files alone."""

    def __init__(self, when):
        self.when, self.bytes, self.folders = when, io.BytesIO(), set()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)

    def _add(self, name, kind, mode, content=b"", owner=0):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.mtime, entry.size, entry.uid, entry.gid = kind, mode, self.when, len(content), owner, owner
        self.tar.addfile(entry, io.BytesIO(content))

    def folder(self, name, mode=0o755, owner=0):
        if name in self.folders or name in ("", "."):
            return
        self.folder(os.path.dirname(name))
        self.folders.add(name)
        self._add(name, tarfile.DIRTYPE, mode, owner=owner)

    def file(self, name, content, mode=0o644):
        self.folder(os.path.dirname(name))
        self._add(name, tarfile.REGTYPE, mode, content)

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


def layer(tree, when):
    made = Layer(when)
    for path in sorted(tree.rglob("*")):
        name = "usr/" + str(path.relative_to(tree))
        if path.is_dir():
            made.folder(name)
        else:
            made.file(name, path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
    for library in LIBC:
        made.file(f"lib/x86_64-linux-gnu/{library}", (FOLDER / library).read_bytes(), 0o755)
    made.file("lib64/ld-linux-x86-64.so.2", Path("/lib64/ld-linux-x86-64.so.2").read_bytes(), 0o755)
    made.file("usr/share/doc/verge/licences/libc6", Path("/usr/share/doc/libc6/copyright").read_bytes())
    certificates = Path("/usr/share/ca-certificates/mozilla")
    bundle = b"".join(f.read_bytes() for f in sorted(certificates.glob("*.crt")))
    made.file("etc/ssl/certs/ca-certificates.crt", bundle)
    made.file("usr/lib/ssl/cert.pem", bundle)
    made.file("etc/passwd", f"root:x:0:0:root:/root:/sbin/nologin\nverge:x:{USER}:{USER}:Verge:/var/lib/verge:/sbin/nologin\n".encode())
    made.file("etc/group", f"root:x:0:\nverge:x:{USER}:\n".encode())
    made.file("etc/nsswitch.conf", b"hosts: files dns\n")
    made.file("etc/os-release", b'ID=verge\nNAME="Verge"\nPRETTY_NAME="Verge"\n')
    made.folder("tmp", 0o1777)
    made.folder("var/lib/verge", 0o750, USER)
    made.folder("var/lib/verge/models", 0o750, USER)
    return made.done()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    when = int(os.environ["SOURCE_DATE_EPOCH"])
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    content = layer(options.tree, when)
    packed = subprocess.run(["gzip", "-6n"], input=content, stdout=subprocess.PIPE, check=True).stdout
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    configuration = blob(json.dumps({
        "architecture": "amd64", "os": "linux", "created": date,
        "config": {
            "User": f"{USER}:{USER}", "WorkingDir": "/var/lib/verge", "Entrypoint": ["/usr/bin/verge"],
            "Env": ["PATH=/usr/bin", "HOME=/var/lib/verge", "XDG_DATA_HOME=/var/lib", "VERGE_MODELS=/var/lib/verge/models",
                    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Volumes": {"/var/lib/verge": {}}, "ExposedPorts": {"8780/tcp": {}}, "StopSignal": "SIGTERM",
            "Labels": {"org.opencontainers.image.title": "verge", "org.opencontainers.image.version": options.version,
                       "org.opencontainers.image.licenses": "Apache-2.0"},
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
        "history": [{"created": date, "created_by": "scripts/package image"}],
    }).encode(), "config.v1+json")
    packed_layer = blob(packed, "layer.v1.tar+gzip")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                "config": configuration, "layers": [packed_layer]}).encode(), "manifest.v1+json")
    name = f"verge:{options.version}"
    manifest["annotations"] = {"io.containerd.image.name": f"docker.io/library/{name}", "org.opencontainers.image.ref.name": options.version}
    where = lambda one: "blobs/sha256/" + one["digest"].removeprefix("sha256:")
    out = Layer(when)
    for digest, data in sorted(blobs.items()):
        out.file(f"blobs/sha256/{digest}", data)
    out.file("index.json", json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}).encode())
    out.file("manifest.json", json.dumps([{"Config": where(configuration), "RepoTags": [name, "verge:latest"], "Layers": [where(packed_layer)]}]).encode())
    out.file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    options.to.write_bytes(out.done())


main()
