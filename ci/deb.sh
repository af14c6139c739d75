#!/usr/bin/env bash
# Builds the Debian packages of the commit (make deb), has lintian look at them, installs them in a new system that mmdebstrap
# makes, with a compiler and nothing else of this tree, and runs a program in C and one in Python there: the test that the
# source package has for autopkgtest. Then removes the packages again. Without mmdebstrap, without a network or not as root
# that part is left out, and the script says so. Takes minutes.
#
# Ends with `N passed, N failed, N skipped`. Environment: SUITE the release of Debian (this system's), DEBS a directory with
# packages that were built already, MIRROR.
source "$(dirname "$0")/lib.sh"
skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debs=${DEBS:-$work/debs}
suite=${SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}

symbols() { # the file has what the header declares, and nothing else
  sed -nE 's/^ (gmx_[a-z0-9_]+)@Base .*/\1/p' packaging/debian/libgomax0.symbols | sort >"$work/listed"
  { sed -nE 's/^(GMX_MUST_USE )?GMX_API [^;(]*\b(gmx_[a-z0-9_]+)\(.*/\2/p' include/gomax.h; echo gmx_poll_word; } | sort |
    diff "$work/listed" -
}
built() {
  local name
  for name in libgomax0 libgomax-dev libgomax-doc python3-gomax libgomax0-dbgsym; do
    compgen -G "$debs/${name}_*.deb" >/dev/null || { echo "there is no $name"; return 1; }
  done
}
new_system() { mmdebstrap --mode=root --variant=apt --include=gcc,libc6-dev,pkgconf,python3 "$suite" "$work/root" "${MIRROR:-http://deb.debian.org/debian}"; }
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$work/root" "$@"; }
installs() {
  cp "$debs"/libgomax0_*.deb "$debs"/libgomax-dev_*.deb "$debs"/libgomax-doc_*.deb "$debs"/python3-gomax_*.deb "$work/root/tmp" &&
    inside sh -c 'dpkg -i /tmp/*.deb'
}
runs() {
  cp packaging/debian/tests/smoke "$work/root/tmp/smoke" && inside sh -x /tmp/smoke
}
removes() {
  inside dpkg --purge python3-gomax libgomax-dev libgomax-doc libgomax0 || return 1
  ! find "$work/root/usr" "$work/root/etc" "$work/root/var/lib/dpkg/info" -name '*gomax*' | grep .
}

check "the symbols are those of the header" symbols
[[ -n ${DEBS:-} ]] || check "the packages are built" packaging/deb.sh "$debs"
check "all packages are there" built
if command -v lintian >/dev/null; then
  check "lintian finds no error" lintian --allow-root --fail-on error "$debs"/*.changes
else
  echo "left out: there is no lintian"
  skipped=$((skipped + 1))
fi
if ((EUID == 0)) && command -v mmdebstrap >/dev/null && new_system >"$work/said" 2>&1; then
  check "they are installed in a new system" installs
  check "programs run there" runs
  check "they are removed without a rest" removes
else
  echo "left out: no new system can be made here (mmdebstrap, as root)"
  skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
