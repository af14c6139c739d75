#!/usr/bin/env bash
# Tests the Zig binding: what it has of the header; its tests and wrong calls in each of $GMX_ZIG_MODES, and the
# scenarios of docs/meaning.md in the modes that check calls; tests of the standard library on our Io; the examples; and
# the programs of docs/zig.md in a project that fetches the package as a reader would, and that of docs/start.md. The
# modes are built at the same time. Ends with `N passed, N failed`.
# Zig is $GMX_ZIG, or the `zig` on the PATH if its version is right, or comes from PyPI into target/zig; without Zig
# the suite is skipped (77). The first run compiles Zig's own build tool, which takes minutes; it is kept in
# target/zig.
# Environment: GMX_LIB another libgomax.so than target/release's, GMX_ZIG, GMX_ZIG_MODES (of debug, safe, fast and
# small; the first two are checked builds), GMX_SEED the seed of the tests' random choices, PYTHON.
# `ci/zig.sh setup` only installs what the suite needs.
source "$(dirname "$0")/lib.sh"
version=0.17.1
python=${PYTHON:-python3}
mkdir -p "$target/zig"

zig=()
right() { [[ $("$@" version 2>/dev/null) == ${version%.*}.* ]]; }
for candidate in "${GMX_ZIG:-}" zig; do
  if ((!${#zig[@]})) && [[ -n $candidate ]] && right "$candidate"; then zig=("$candidate"); fi
done
if ((!${#zig[@]})); then
  zig=("$target/zig/venv/bin/python" -m ziglang)
  if ! right "${zig[@]}"; then
    "$python" -m venv "$target/zig/venv" && "$target/zig/venv/bin/pip" -q --disable-pip-version-check install "ziglang==$version"
    right "${zig[@]}" || { echo "there is no Zig ${version%.*}, and pip does not find it"; exit 77; }
  fi
fi
[[ ${1:-} != setup ]] || exit 0

use_library
export ZIG_GLOBAL_CACHE_DIR=$target/zig/global ZIG_LOCAL_CACHE_DIR=$target/zig/local
# Zig caches by these paths too: they stay the same for the same library
prefix=$target/zig/$(cksum <<<"$lib" | cut -d' ' -f1)
mkdir -p "$prefix/lib"
ln -sfn "$lib" "$prefix/lib/libgomax.so"
ln -sfn "$lib" "$prefix/lib/libgomax.so.0"
flags=(--search-prefix "$prefix" --summary all)
out=$work/out
[[ -z ${GMX_SEED:-} ]] || flags+=("--seed=$((GMX_SEED & 0xffffffff))")
build() { (cd "$1" && timeout "${GMX_ZIG_LIMIT:-800}" "${zig[@]}" build "${flags[@]}" --prefix "$out" "${@:2}"); }

# The programs of each mode, each mode in a directory of its own; Zig compiles its build tool once for all of them.
checked() { [[ $1 == debug || $1 == safe ]]; } # some scenarios are wrong calls
built() { # MODE STEP...
  local out=$out/$1 optimize=()
  [[ $1 == debug ]] || optimize=("-Doptimize=$1")
  build bindings/zig "${@:2}" "${optimize[@]}"
}
modes=(${GMX_ZIG_MODES:-debug fast})
for mode in "${modes[@]}"; do start "programs, $mode" built "$mode" tests wrong $(checked "$mode" && echo meaning); done

sources=()
for source in bindings/zig/src/*.zig bindings/zig/src/io/*.zig; do [[ $source == */c.zig ]] || sources+=("$source"); done
check "gomax.zig has all of gomax.h" wrapped bindings/zig/tests/left_out.txt "${sources[@]}"
check "build.zig.zon: version" grep -qF ".version = \"$gomax_version\"" bindings/zig/build.zig.zon

# Tests of the standard library, with our Io in the place of its own. Zig is installed with its files test.zig empty, so
# these are the ones that lie beside the code, in files that import nothing else.
std_tests() {
  local lib tests=$work/std file
  lib=$("${zig[@]}" env | sed -nE 's/.*std_dir = "(.*)",/\1/p')
  mkdir -p "$tests"
  for file in Io/RwLock Io/Semaphore Thread; do
    sed -E 's/@import\("(\.\.\/)?std\.zig"\)/@import("std")/; s/\b(std\.)?testing\.io\b/@import("root").io/' "$lib/$file.zig" \
      >"$tests/$(basename "$file").zig" || return
    echo "test { _ = @import(\"$(basename "$file").zig\"); }" >>"$tests/all.zig"
  done
  timeout "${GMX_ZIG_LIMIT:-800}" "${zig[@]}" test --test-runner bindings/zig/tests/std.zig --dep gomax "-Mroot=$tests/all.zig" -lc \
    "-L$prefix/lib" -lgomax -Mgomax=bindings/zig/src/gomax.zig -lc
}

dupes() {
  mkdir -p "$work/tree/a/b"
  echo same >"$work/tree/one"; echo same >"$work/tree/a/two"; echo other >"$work/tree/a/b/three"; echo sane >"$work/tree/four"
  build bindings/zig examples &&
    diff <("$out/bin/dupes" "$work/tree" | sed "s|$work/tree/||") <(printf 'a/two\none\n\n1 files, 5 bytes are there more than once\n')
}
check "examples/dupes.zig" dupes

echoes() { # the example is built
  local port line i
  coproc server { timeout 60 "$out/bin/echo"; }
  local pid=$server_PID
  read -r port <&"${server[0]}" || return
  exec {here}<>"/dev/tcp/127.0.0.1/$port" {there}<>"/dev/tcp/127.0.0.1/$port" || return
  for i in 1 2 3; do
    echo "here $i" >&"$here" && echo "there $i" >&"$there"
    read -r line <&"$there" && [[ $line == "there $i" ]] && read -r line <&"$here" && [[ $line == "here $i" ]] || return
  done
  eval "exec ${server[1]}>&-" # the connections are open
  wait "$pid"
}
check "examples/echo.zig" echoes

# what goes into an RPATH is absolute
finds() { build bindings/zig examples "-Dlib_dir=$prefix/lib" && readelf -d "$out/bin/dupes" | grep -F "[$prefix/lib]"; }
relative() { ! build bindings/zig examples -Dlib_dir=lib && grep -q 'lib_dir is "lib", and must be an absolute path' "$work/said"; }
check "lib_dir is the RPATH" finds
check "lib_dir must be absolute" relative

# the project of docs/zig.md, as it says, with each of its programs in turn
project=$work/app
mkdir -p "$project/src"
begin() { (cd "$project" && "${zig[@]}" init --minimal && "${zig[@]}" fetch --save "$1"); }
check "zig init, zig fetch" begin "$PWD/bindings/zig"
programs docs/zig.md "$project"
for program in "$project"/[0-9]*.zig; do
  cp "$program" "$project/src/main.zig"
  check "docs/zig.md: $(basename "$program")" build "$project" run
done

hosts() { # built by hand, as docs/start.md does
  programs docs/start.md "$work/start"
  "${zig[@]}" build-exe "-femit-bin=$work/start/up" --dep gomax "-Mroot=$(echo "$work"/start/[0-9]*.zig)" -lc "-L$prefix/lib" -lgomax \
    -Mgomax=bindings/zig/src/gomax.zig && ci/start.py "$work/start/up"
}
check "docs/start.md" hosts

settle
start_counted "tests of std.Io" std_tests
for mode in "${modes[@]}"; do
  start_counted "tests, $mode" built "$mode" test
  start_counted "wrong calls, $mode" "$python" bindings/zig/tests/wrong.py $(checked "$mode" || echo un)checked "$out/$mode/bin/wrong"
  ! checked "$mode" || start_counted "docs/meaning.md, $mode" "$python" ci/meaning.py Zig "$out/$mode/bin/meaning"
done

summary
