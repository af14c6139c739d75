#!/bin/sh
# packaging/deb.sh OUT [ROOT]: builds the Debian packages of the commit HEAD into the directory OUT, from the release
# archive with packaging/debian as its debian/.
#
# With ROOT, the directory of a Debian system that has the build dependencies, it builds in there, as root, and makes
# the source package too. Without, it builds in this system. Then it does not ask for the build dependencies (-d), since
# a release of Debian may have an older cargo than the library needs: the cargo on the PATH builds it, and that of
# rustup will do. That cargo must have the crate libc already, because a package is built without a network.
set -eu
cd "$(dirname "$0")/.."
root=${2:-}
mkdir -p "$1"
out=$(cd "$1" && pwd)
if [ -z "$root" ]; then
  for program in dpkg-buildpackage dh dh_python3 cargo; do
    command -v $program >/dev/null ||
      { echo "make deb: $program is missing (apt install dpkg-dev debhelper dh-python; cargo)" >&2; exit 1; }
  done
fi
work=$(mktemp -d -p "$root/tmp")
trap 'rm -rf "$work"' EXIT
packaging/dist.sh "$work"
archive=$(basename "$work"/gomax-[0-9]*.tar.gz)
version=${archive#gomax-}
cp "$work/$archive" "$work/gomax_${version%.tar.gz}.orig.tar.gz"
mkdir "$work/tree"
tar -xzf "$work/$archive" --strip-components=1 -C "$work/tree"
cp -R packaging/debian "$work/tree/debian"
rm "$work"/gomax-* "$work/SHA256SUMS"
if [ -z "$root" ]; then
  (cd "$work/tree" && env -u CARGO_TARGET_DIR dpkg-buildpackage -us -uc -b -d)
else
  env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    chroot "$root" sh -c 'cd "$1" && exec dpkg-buildpackage -us -uc' sh "${work#"$root"}/tree"
fi
rm -rf "$work/tree"
mv "$work"/* "$out"
