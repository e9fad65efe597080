#!/usr/bin/env bash
# The Debian package of a staged tree: the tree in /usr, a unit, a user, a folder of data. It brings its libraries, so that one
# package serves Debian 12 and 13 and Ubuntu 22.04 and 24.04.
# usage: deb.sh TREE VERSION WORK FILE
set -euo pipefail
tree=$1 version=$2 root=$3 file=$4
here=$(dirname "$0")/deb
rm -rf "$root"
mkdir -p "$root"/{DEBIAN,usr/lib/systemd/system,etc/default}
cp -a "$tree"/{bin,share} "$root/usr/"
cp -a "$tree/lib/verge" "$root/usr/lib/"
gzip -9n "$root"/usr/share/man/man1/*.1
install -m 644 "$here/verge.service" "$root/usr/lib/systemd/system/"
install -m 644 "$here/default" "$root/etc/default/verge"
install -m 755 "$here"/{postinst,prerm,postrm} "$root/DEBIAN/"
echo /etc/default/verge >"$root/DEBIAN/conffiles"
{ echo "Verge: Apache-2.0, see LICENSE and NOTICE. Libraries in /usr/lib/verge: see licences/."
  cat "$tree/share/doc/verge/LICENSE"; } >"$root/usr/share/doc/verge/copyright"
cat >"$root/DEBIAN/control" <<CONTROL
Package: verge
Version: $version
Architecture: amd64
Maintainer: The Verge authors <verge@localhost>
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f1)
Depends: libc6 (>= 2.35), passwd
Recommends: ca-certificates
Suggests: npm, python3-pip, poppler-utils
Section: net
Priority: optional
Description: open, self-hosted Workers AI
 env.AI.run(model, inputs) on your own machines. Answers the Workers AI REST
 API, the env.AI binding and the OpenAI API with an inference engine of its
 own. Cloudflare Workers run with 'verge dev' (which fetches wrangler by npm).
CONTROL
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod -R g-w,o-w "$root"
dpkg-deb --root-owner-group -Zzstd -z12 --build "$root" "$file" >/dev/null
