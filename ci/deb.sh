#!/usr/bin/env bash
# Builds the Debian packages of the commit, and tries them. As root, with mmdebstrap and a network:
#
#   - builds them in a new Debian system, which has the build dependencies and nothing of this one, as packages and as a
#     source package, and lets the lintian of that release look at them;
#   - installs them in another new system, which has a compiler, and runs a program in C and one in Python there: the
#     test that the source package has for autopkgtest. Then removes them again.
#
# Takes minutes. Ends with `N passed, N failed`, and is skipped (77) where no new system can be made. Environment: SUITE
# the release of Debian (trixie), MIRROR, OUT a directory that gets the packages.
source "$(dirname "$0")/lib.sh"
suite=${SUITE:-trixie} mirror=${MIRROR:-http://deb.debian.org/debian}
((EUID == 0)) && command -v mmdebstrap >/dev/null || { echo "it takes root, and mmdebstrap"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
debs=${OUT:-$work/debs}

new_system() { # NAME PACKAGES OPTION...
  mmdebstrap --mode=root --variant=apt --include="$2" "${@:3}" "$suite" "$work/$1" "$mirror"
}
inside() { env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$work/$1" "${@:2}"; }
built() {
  local name
  for name in libgomax0 libgomax-dev libgomax-doc python3-gomax libgomax0-dbgsym; do
    compgen -G "$debs/${name}_*.deb" >/dev/null || { echo "there is no $name"; return 1; }
  done
}
looks() {
  mkdir -p "$work/build/debs" && cp "$debs"/* "$work/build/debs" &&
    inside build sh -c 'lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs /debs/*.changes'
}
symbols() { # each of the header with its version, and no other
  dpkg-deb --fsys-tarfile "$debs"/libgomax-dev_*.deb | tar -xO ./usr/include/gomax.h >"$work/gomax.h" &&
    diff <(packaging/debian/symbols.sh "$work/gomax.h" | grep '@Base') \
      <(dpkg-deb --ctrl-tarfile "$debs"/libgomax0_*.deb | tar -xO ./symbols | grep '@Base')
}
split() { # the debug information is in a package of its own, by the build ID, and knows the lines
  local id
  dpkg-deb -x "$debs"/libgomax0_*.deb "$work/lib" && dpkg-deb -x "$debs"/libgomax0-dbgsym_*.deb "$work/debug" || return 1
  id=$(readelf -n "$work"/lib/usr/lib/*/libgomax.so.0 | sed -n 's/.*Build ID: //p')
  ! readelf -S "$work"/lib/usr/lib/*/libgomax.so.0 | grep -q '\.debug_' &&
    readelf -S "$work/debug/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" | grep -q '\.debug_line'
}
installs() {
  cp "$debs"/libgomax0_*.deb "$debs"/libgomax-dev_*.deb "$debs"/libgomax-doc_*.deb "$debs"/python3-gomax_*.deb "$work/use/tmp" &&
    inside use sh -c 'dpkg -i /tmp/*.deb'
}
runs() {
  cp packaging/debian/tests/smoke packaging/tests/squares.c "$work/use/tmp" && inside use env SQUARES=/tmp/squares.c sh -x /tmp/smoke
}
removes() {
  inside use dpkg --purge python3-gomax libgomax-dev libgomax-doc libgomax0 || return 1
  ! find "$work/use/usr" "$work/use/etc" "$work/use/var/lib/dpkg/info" -name '*gomax*' | grep .
}

# apt reads the build dependencies from debian/control
new_system build build-essential,lintian --customize-hook='copy-in packaging/debian /srv' \
  --customize-hook='chroot "$1" apt-get build-dep -qq --no-install-recommends /srv' >"$work/said" 2>&1 ||
  { tail "$work/said"; echo "no new system can be made here"; exit 77; }
check "the packages are built in a new system" packaging/deb.sh "$debs" "$work/build"
check "all packages are there" built
check "lintian finds no error and no warning" looks
check "the symbols are those of the header" symbols
check "the debug information is apart" split
check "a new system" new_system use gcc,libc6-dev,pkgconf,python3
check "they are installed there" installs
check "programs run there" runs
check "they are removed without a rest" removes
summary
