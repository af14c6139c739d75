#!/usr/bin/env bash
# Builds the RPM packages of the commit from packaging/rpm/gomax.spec, has rpmlint look at the spec and at them, unpacks
# them, and runs a program in C and one in Python with what they hold. The build dependencies are not asked for
# (--nodeps), so that it works where rpm does not manage the system: cargo must have the crate libc.
#
# Takes minutes. Ends with `N passed, N failed`; skipped (77) without rpmbuild or rpmlint. Environment: OUT a directory
# that gets the packages.
source "$(dirname "$0")/lib.sh"
for program in rpmbuild rpmlint cpio; do
  command -v $program >/dev/null || { echo "there is no $program"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
define=(--define "_topdir $work/rpm")
command -v find-debuginfo >/dev/null || define+=(--define "debug_package %{nil}")

built() {
  packaging/dist.sh "$work/dist" && mkdir -p "$work/rpm/SOURCES" && cp "$work"/dist/gomax-"$gomax_version".tar.gz "$work/rpm/SOURCES" &&
    env -u CARGO_TARGET_DIR -u RUSTFLAGS rpmbuild "${define[@]}" --nodeps -ba packaging/rpm/gomax.spec
}
looks() { # (its status is not 0 if there is an error)
  rpmlint -c packaging/rpm/rpmlint.toml packaging/rpm/gomax.spec "$work"/rpm/RPMS/*/*.rpm "$work"/rpm/SRPMS/*.rpm
}
unpacks() {
  local rpm
  mkdir "$root" && for rpm in "$work"/rpm/RPMS/*/*.rpm; do
    rpm2cpio "$rpm" | (cd "$root" && cpio -idm --quiet) || return 1
  done
  [[ -e $root/usr/share/man/man3/gmx_spawn.3.gz || -e $root/usr/share/man/man3/gmx_spawn.3 ]]
}
runs() { # the test of the Debian packages
  local libdir modules
  libdir=$(dirname "$(find "$root" -name libgomax.so)") modules=$(dirname "$(find "$root" -type d -path '*-packages/gomax')")
  PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir PYTHONPATH=$modules \
    sh -x packaging/debian/tests/smoke && grep -q "^$modules/gomax/" "$work/said"
}
check "the packages are built" built
check "rpmlint finds no error" looks
check "they are unpacked" unpacks
check "programs run with them" runs
[[ -z ${OUT:-} ]] || { mkdir -p "$OUT" && cp "$work"/rpm/RPMS/*/*.rpm "$work"/rpm/SRPMS/*.rpm "$OUT"; }
summary
