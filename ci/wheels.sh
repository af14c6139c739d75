#!/usr/bin/env bash
# Builds the source distribution and the wheels (packaging/wheels.sh), and tries each:
#
#   - pip installs the source distribution into a fresh venv, by cargo
#   - the wheel for manylinux_2_28 has that name, auditwheel agrees, and tests of bindings/python pass with it
#   - the library of the wheel for musllinux runs in a program that is linked with musl, if there is musl-gcc. (It takes
#     a system with musl to run Python with it)
#
# Takes minutes. Zig, twine and auditwheel come from PyPI, into target/wheels. Ends with `N passed, N failed`.
# Environment: PYTHON.
source "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3} venv=$target/wheels/venv
[[ -x $venv/bin/auditwheel ]] || {
  "$python" -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check ziglang==0.17.1 twine auditwheel
} || { echo "Zig, twine and auditwheel cannot be installed"; exit 77; }
export ZIG="$venv/bin/python -m ziglang" PYTHONDONTWRITEBYTECODE=1
unset GMX_LIB
many=$work/gomax-$gomax_version-py3-none-manylinux_2_28_x86_64.whl
musl=$work/gomax-$gomax_version-py3-none-musllinux_1_2_x86_64.whl

made() { packaging/wheels.sh "$work" && ls "$many" "$musl"; }
source_installs() {
  "$python" -m venv "$work/venv" && env -u CARGO_TARGET_DIR "$work/venv/bin/pip" install --no-index "$work/gomax-$gomax_version.tar.gz" &&
    (cd "$work" && venv/bin/python -c 'import gomax; assert gomax.go(pow, 2, 10).join() == 1024; print(gomax.LIBRARY)')
}
old_glibc() { # no symbol of it is newer
  "$venv/bin/auditwheel" show "$many" && grep -q 'tag: "manylinux_2_28_x86_64"' "$work/said"
}
tests() {
  "$work/venv/bin/pip" install --no-index --force-reinstall "$many" &&
    (cd "$work" && venv/bin/python "$OLDPWD/bindings/python/tests" test_channels test_errors test_interrupted test_net test_scopes)
}
with_musl() {
  mkdir "$work/musl" && "$python" -m zipfile -e "$musl" "$work/musl" &&
    musl-gcc -std=c11 -Iinclude -o "$work/squares" packaging/tests/squares.c "$work/musl/gomax/libgomax.so.0" &&
    LD_LIBRARY_PATH=$work/musl/gomax "$work/squares" && readelf -l "$work/squares" | grep ld-musl
}

check "the source distribution and the wheels" made
check "twine finds them valid" "$venv/bin/twine" check --strict "$work"/*.whl "$work"/*.tar.gz
check "the manylinux wheel asks for glibc 2.28 or less" old_glibc
check "pip installs the source distribution" source_installs
check "tests of the Python package with the manylinux wheel" tests
if command -v musl-gcc >/dev/null; then check "a program with musl" with_musl; else echo "left out: there is no musl-gcc"; fi
summary
