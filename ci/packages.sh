#!/usr/bin/env bash
# What is quick to show of the packages; `make packages` builds them all.
#
#   - one version in all of them (ci/release.sh tree), and symbols and marks of the library that packages rely on
#   - an installed tree, moved elsewhere: pkg-config finds it there, and a program runs with it
#   - the source distribution for Python: the same twice, complete, and its wheel is that of the tree; twine finds the
#     metadata of both valid (twine comes from PyPI, into target/twine)
#   - the archive for Nim: `nimble install` installs it, and a program of docs/nim.md compiles with it (ci/zig.sh tries
#     that for Zig)
#
# Ends with `N passed, N failed`; without nimble that part is skipped. Environment: GMX_LIB another libgomax.so than
# target/release's, PYTHON, CC, NIM, MAKE.
source "$(dirname "$0")/lib.sh"
use_library
python=${PYTHON:-python3} cc=${CC:-cc} nim=${NIM:-nim} here=$work
skipped=0
export GMX_LIB=$lib PYTHONDONTWRITEBYTECODE=1

twine=$target/twine/bin/twine
start "twine is installed" eval '[[ -x $twine ]] || { "$python" -m venv "$target/twine" &&
  "$target/twine/bin/pip" install --quiet --disable-pip-version-check twine; }'

symbols() { # Debian's list of them, which the header gives, is what the library exports
  diff <(packaging/debian/symbols.sh include/gomax.h | sed -n 's/^ \(.*\)@Base .*/\1/p') \
    <(nm -D --defined-only --format=posix "$lib" | awk '{ print $1 }' | LC_ALL=C sort)
}
no_marks() { # the switch of stacks does not switch shadow stacks, so the library must not be marked as if it did
  ! readelf -n "$lib" | grep -E 'SHSTK|IBT|BTI|GCS'
}
moved() {
  "${MAKE:-make}" -s install DESTDIR="$work/root" PREFIX=/opt/first && mv "$work/root/opt/first" "$work/then" || return 1
  local flags
  read -ra flags < <(PKG_CONFIG_LIBDIR=$work/then/lib/pkgconfig pkg-config --define-prefix --cflags --libs gomax)
  [[ " ${flags[*]} " == *" -I$work/then/include "* ]] &&
    "$cc" -std=c11 -Wall -Werror -o "$work/squares" packaging/tests/squares.c "${flags[@]}" "-Wl,-rpath,$work/then/lib" &&
    env -u LD_LIBRARY_PATH "$work/squares" && ldd "$work/squares"
}

sdist=gomax-$gomax_version.tar.gz
sdists() { # not by the umask, nor with what a build left behind
  (umask 077 && packaging/wheels.sh "$here/one" sdist) && mkdir -p "$work/other" && packaging/wheels.sh "$work/other" sdist &&
    cmp "$here/one/$sdist" "$work/other/$sdist" && tar -xzf "$here/one/$sdist" -C "$here"
}
wheels() { # pip builds the wheel of the source distribution, and it is that of the tree
  "$python" -m pip wheel --quiet --no-index --no-deps --wheel-dir "$here/wheels" "$here/one/$sdist" &&
    "$python" -m pip wheel --quiet --no-index --no-deps --wheel-dir "$work/tree" bindings/python &&
    diff -r "$here/wheels" "$work/tree"
}
compiles() { # cargo finds in it all that the library needs
  env -u GMX_LIB CARGO_TARGET_DIR="$target/packages" "${CARGO:-cargo}" check --quiet --lib --locked \
    --manifest-path "$here/gomax-$gomax_version/Cargo.toml"
}
without_cargo() {
  ! (cd "$here/gomax-$gomax_version" && env -u GMX_LIB -u CARGO_TARGET_DIR CARGO=/none PYTHONPATH=bindings/python/backend \
    "$python" -c 'import gomax_build; gomax_build.build_wheel(".")') && grep -q 'there is no /none: install Rust' "$work/said"
}
valid() { "$twine" check --strict "$here/one/$sdist" "$here"/wheels/*.whl; }

nimble_installs() {
  mkdir "$work/nim" && tar -xzf "$here/dist/gomax-nim-$gomax_version.tar.gz" -C "$work/nim" --strip-components=1 &&
    (cd "$work/nim" && nimble --nimbleDir:"$work/nimble" --accept --offline install) || return 1
  local package flags
  package=$(dirname "$(find "$work/nimble" -name gomax.nim)") && [[ -e $package/gomax/abi.nim ]] || return 1
  programs docs/nim.md "$work" && mapfile -t flags <"$work/nim.cfg" && mv "$work/1.nim" "$work/first.nim"
  "$nim" c --hints:off --path:"$package" "${flags[@]}" --nimcache:"$work/cache" --passC:"-I$PWD/include" --passL:"-L$here/lib" \
    -o:"$work/app" "$work/first.nim" && [[ $("$work/app") == "2584 on "* ]]
}

check "an archive for each language" packaging/dist.sh "$here/dist"
counted "one version, and all suites in the tables" ci/release.sh tree
check "Debian's symbols are those of the library" symbols
check "no marks of control flow" no_marks
check "the source distribution, twice" sdists
start "an installed tree may be moved" moved
start "the source distribution compiles" compiles
if command -v nimble >/dev/null; then
  start "nimble installs the archive" nimble_installs
else
  echo "left out: there is no nimble" && skipped=$((skipped + 1))
fi
check "its wheel is that of the tree" wheels
check "without cargo it says what to do" without_cargo
settle
check "twine finds both valid" valid
settle
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
