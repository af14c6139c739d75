#!/usr/bin/env bash
# Installs the library from this tree by the recipes of other package managers, and builds packaging/tests with the
# result:
#
#   conan     packaging/conan: shared and static, by `conan create`
#   vcpkg     packaging/vcpkg: by ci/vcpkg.cmake, which stands in for vcpkg itself
#   cargo-c   the table package.metadata.capi of Cargo.toml, by `cargo cinstall`, if there is cargo-c
#
# Names of these select. Takes minutes. Conan and CMake come from PyPI into target/recipes. Ends with `N passed, N
# failed`. Environment: PYTHON, CC.
source "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wanted=("$@")
wants() { ((!${#wanted[@]})) || [[ " ${wanted[*]} " == *" $1 "* ]]; }
venv=$target/recipes
[[ -x $venv/bin/conan && -x $venv/bin/cmake ]] || {
  "${PYTHON:-python3}" -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check conan cmake
} || { echo "Conan and CMake cannot be installed"; exit 77; }
export PATH=$venv/bin:$PATH
unset CARGO_TARGET_DIR RUSTFLAGS

created() { # [OPTION]: what the package's test prints is 385
  CONAN_HOME=$work/conan conan profile detect --force &&
    CONAN_HOME=$work/conan conan create packaging/conan --no-remote --build=missing "$@" && grep -qx 385 "$work/said"
}
port() {
  cmake -D PORT_DIR="$PWD/packaging/vcpkg/gomax" -D WORK="$work/vcpkg" -P ci/vcpkg.cmake || return 1
  [[ ! -e $work/vcpkg/packages/lib/libgomax.a && -e $work/vcpkg/packages/debug/lib/libgomax.so.0 ]]
}
found() { # CMAKE-PACKAGE-PATH, moved: the program finds the library where it is now
  mv "$work/vcpkg/packages" "$work/moved" &&
    cmake -S packaging/tests -B "$work/built" -D CMAKE_PREFIX_PATH="$work/moved" && cmake --build "$work/built" && "$work/built/squares"
}
described() { # the port says what vcpkg asks for
  "${PYTHON:-python3}" - packaging/vcpkg/gomax/vcpkg.json "$gomax_version" <<'PY'
import json, sys
port = json.load(open(sys.argv[1]))
assert port["name"] == "gomax" and port["version"] == sys.argv[2], port
assert {"description", "license", "supports", "dependencies"} <= port.keys(), port
PY
}
cinstalled() {
  PREFIX=/usr LIBDIR=/usr/lib cargo cinstall --locked --prefix=/usr --libdir=/usr/lib --destdir="$work/cargo-c" || return 1
  "${CC:-cc}" -std=c11 -o "$work/squares" packaging/tests/squares.c $(PKG_CONFIG_LIBDIR=$work/cargo-c/usr/lib/pkgconfig \
    PKG_CONFIG_SYSROOT_DIR=$work/cargo-c pkg-config --cflags --libs gomax) && LD_LIBRARY_PATH=$work/cargo-c/usr/lib "$work/squares"
}

if wants conan; then
  check "conan, shared" created
  check "conan, static" created -o 'gomax/*:shared=False'
fi
if wants vcpkg; then
  check "vcpkg.json" described
  check "the portfile" port
  check "CMake finds what it has installed" found
fi
if wants cargo-c; then
  if command -v cargo-cinstall >/dev/null; then check "cargo cinstall" cinstalled; else echo "left out: there is no cargo-c"; fi
fi
summary
