#!/bin/sh
# packaging/dist.sh OUT: writes what a release consists of into the directory OUT, from the commit HEAD:
#   gomax-VERSION.tar.gz      every file of the commit, below gomax-VERSION/
#   gomax-zig-VERSION.tar.gz  bindings/zig, as `zig fetch` takes it
#   gomax-nim-VERSION.tar.gz  bindings/nim, as `nimble install` takes it
#   gomax-VERSION.spdx.json   what libgomax.so is made of (packaging/sbom.py)
#   SHA256SUMS                the hashes of these files
#
# The same commit gives the same bytes: git sorts the names, and sets the owner to root and the times to that of the
# commit; the mode of a file does not depend on the umask; gzip writes neither a name nor a time. (Another version of
# gzip may compress in another way. The tar below it stays the same.)
#
# Environment: PYTHON.
set -eu
cd "$(dirname "$0")/.."
out=$1
git rev-parse --quiet --verify HEAD >/dev/null || { echo "make dist: this is no git checkout" >&2; exit 1; }
[ -z "$(git status --porcelain)" ] || echo "make dist: the archive has the commit, without the changes beside it" >&2

# all of it from the commit: the files here may differ
version=$(git show HEAD:Cargo.toml | sed -n 's/^version = "\(.*\)"/\1/p' | head -n 1)
name=gomax-$version
mkdir -p "$out"
git -c tar.umask=0022 archive --format=tar --prefix="$name/" HEAD | gzip -n -9 >"$out/$name.tar.gz"
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
time=$(git log -1 --format=%ct)
git -c tar.umask=0022 archive HEAD Cargo.toml Cargo.lock packaging/sbom.py bindings | tar -x -p -C "$sources"
for part in zig nim; do # (as git does it for a whole commit)
  tar -c --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -C "$sources/bindings" \
    --transform="s|^$part|gomax-$part-$version|" "$part" | gzip -n -9 >"$out/gomax-$part-$version.tar.gz"
done
"${PYTHON:-python3}" "$sources/packaging/sbom.py" "$sources" "$out/$name.tar.gz" "$time" >"$out/$name.spdx.json"
(cd "$out" && sha256sum "$name.tar.gz" "gomax-zig-$version.tar.gz" "gomax-nim-$version.tar.gz" "$name.spdx.json" >SHA256SUMS)
