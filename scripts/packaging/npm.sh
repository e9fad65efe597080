#!/usr/bin/env bash
# npm packages: verge-workers (workers/ with the command `verge`) and the program for one platform, its optional dependency.
# usage: npm.sh TREE VERSION WORK OUT
set -euo pipefail
tree=$1 version=$2 work=$3 out=$4
platform=verge-linux-x64
rm -rf "$work"
mkdir -p "$work/$platform/share/doc"
cp -a "$tree/bin" "$tree/lib" "$work/$platform/"
mkdir -p "$work/$platform/share/verge"
cp -a "$tree/share/verge/models" "$work/$platform/share/verge/"
cp -a "$tree/share/doc/verge/licences" "$tree"/share/doc/verge/{LICENSE,NOTICE} "$work/$platform/"
cp -a "$tree/share/verge/workers" "$work/verge-workers"
rm -f "$work/verge-workers/package-lock.json"
rmdir "$work/$platform/share/doc"
cp "$tree/share/doc/verge/LICENSE" "$work/verge-workers/"
install -m 755 scripts/packaging/npm/verge.mjs "$work/verge-workers/bin/verge.mjs"
python3 - "$work" "$platform" "$version" <<'PY'
import json, sys
from pathlib import Path
work, platform, version = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
file = work / "verge-workers" / "package.json"
package = json.loads(file.read_text())
package["version"] = version
package["bin"] = {"verge": "bin/verge.mjs", **package["bin"]}
package["optionalDependencies"] = {**package.get("optionalDependencies", {}), platform: version}
file.write_text(json.dumps(package, indent=2) + "\n")
(work / platform / "package.json").write_text(json.dumps({
    "name": platform, "version": version, "description": "Verge for Linux on x86-64 (glibc 2.35 or newer); install verge-workers",
    "license": package["license"], "os": ["linux"], "cpu": ["x64"], "libc": ["glibc"],
    "files": ["bin", "lib", "share", "licences", "NOTICE"],
}, indent=2) + "\n")
PY
find "$work" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
for package in "$platform" verge-workers; do
  (cd "$work/$package" && command npm pack --silent --pack-destination "$out" >/dev/null)
done
