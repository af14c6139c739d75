#!/bin/sh
# packaging/deb.sh OUT: builds the Debian packages of the commit HEAD into the directory OUT, from the release archive with
# packaging/debian as its debian/. It needs dpkg-dev, debhelper and dh-python.
#
# It does not ask for the build dependencies (-d), since a release of Debian may have an older cargo than the library needs:
# the cargo on the PATH builds it, and that from rustup will do. That cargo must have the crate libc already, because a
# package is built without a network.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
for program in dpkg-buildpackage dh dh_python3 cargo; do
  command -v $program >/dev/null || { echo "make deb: $program is missing (apt install dpkg-dev debhelper dh-python; cargo)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/dist.sh "$work"
tar -xzf "$work"/gomax-*.tar.gz -C "$work"
cd "$work"/gomax-*/
cp -R packaging/debian debian
env -u CARGO_TARGET_DIR dpkg-buildpackage -us -uc -b -d
mv ../*.deb ../*.changes ../*.buildinfo "$out"
