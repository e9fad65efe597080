#!/usr/bin/env bash
# The installed tree of a program that was built before: what `cmake --install` writes, without a build folder of its own.
# usage: tree.sh VERGE TREE
set -euo pipefail
binary=$(realpath "$1") tree=$2
mkdir -p "$tree"/{bin,lib/verge,share/verge/models/stories260K,share/doc/verge}
strip -o "$tree/bin/verge" "$binary"
chmod 755 "$tree/bin/verge"
copy() {  # FROM TO: without what tools leave behind
  tar -c --exclude=node_modules --exclude=.wrangler --exclude=__pycache__ --exclude=compose/cluster --exclude=compose/data \
    --exclude=compose/keys -f - "$1" | tar -x -C "$2" -f -
}
copy workers "$tree/share/verge"
cp tests/data/models/stories260K/stories260K-f32.gguf "$tree/share/verge/models/stories260K/"
copy docs "$tree/share/doc/verge"
copy examples "$tree/share/doc/verge"
copy deploy "$tree/share/doc/verge"
cp LICENSE NOTICE SECURITY.md README.md CHANGELOG.md "$tree/share/doc/verge/"
chmod -R u=rwX,go=rX "$tree"
