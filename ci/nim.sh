#!/usr/bin/env bash
# Tests the Nim binding: its tests as a debug and as a release build, programs that it must refuse to compile, the
# example, and the programs of docs/nim.md and docs/start.md. As many of them are built and run at a time as there are
# CPUs. Ends with `N passed, N failed`. Skipped (77) if Nim is neither installed nor available from apt.
# `ci/nim.sh setup` only installs what the suite needs. Environment: GMX_LIB another libgomax.so than target/release's,
# NIM the compiler.
source "$(dirname "$0")/lib.sh"
root=$PWD
nim=${NIM:-nim}
if ! command -v "$nim" >/dev/null; then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nim >/dev/null ||
      { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nim >/dev/null; }
  fi
  command -v "$nim" >/dev/null || { echo "there is no Nim, and apt has none"; exit 77; }
fi
[[ ${1:-} != setup ]] || exit 0

use_library
cache=$target/nim/$("$nim" --version | sed -nE '1s/.*Version ([0-9.]+).*/\1/p')
flags=(--hints:off --path:"$root/bindings/nim/src" --passC:"-I$root/include" --passL:"-L$work/lib")

run() { # SOURCE NAME FLAGS...
  "$nim" c "${flags[@]}" --nimcache:"$cache/$2" -o:"$work/$2" "${@:3}" "$1" && timeout $((120 + 4 * ${GMX_SECONDS:-1})) "$work/$2"
}
suite() { # each test of the suite counts
  start_counted "tests, $1" run bindings/nim/tests/test_gomax.nim "tests-$1" "${@:2}"
}
modules=()
for module in bindings/nim/src/gomax/*.nim; do [[ $module == */abi.nim ]] || modules+=("$module"); done
check "the modules have all of gomax.h" wrapped bindings/nim/tests/left_out.txt "${modules[@]}"
check "what may migrate is in waits" python3 bindings/nim/tests/waits.py
suite release -d:release --mm:orc

# Runs the tests under AddressSanitizer, with a seed and a time from the caller if given (ci/stress.sh). The library
# needs no special build, since each stack is left by a return only. Memory that the main module keeps is not a leak.
sanitized() { # NAME FLAGS...
  ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 run bindings/nim/tests/values.nim "values-$1" --debugger:native \
    --passC:-fsanitize=address --passL:-fsanitize=address "${@:2}"
}
start "values under AddressSanitizer, orc" sanitized orc -d:release --mm:orc
suite debug
if [[ ${1:-} == stress ]]; then
  start "values under AddressSanitizer, arc" sanitized arc --mm:arc
  start "values, arc, without checks" run bindings/nim/tests/values.nim values-danger -d:danger --mm:arc
  start "values, orc, without checks" run bindings/nim/tests/values.nim values-danger-orc -d:danger --mm:orc
  summary
  exit
fi

meaning() { # each scenario counts
  "$nim" c "${flags[@]}" --nimcache:"$cache/meaning" -o:"$work/meaning" bindings/nim/tests/meaning.nim && ci/meaning.py Nim "$work/meaning"
}
start_counted "one meaning" meaning

# Without one of the required options the binding refuses to compile and names the option; with all of them it compiles.
docs=$work/docs bare=$work/bare
mkdir "$docs" "$bare" # a nim.cfg counts for all that is below it
printf 'import gomax\nrunMain: sleep 1.ms\n' | tee "$docs/app.nim" >"$bare/app.nim"
programs docs/nim.md "$docs"
refuses() { # WORD OPTION INSTEAD: it must not compile, and say the word
  local options=()
  while read -r option; do options+=("${option/#$2/$3}"); done <"$docs/nim.cfg"
  # shellcheck disable=SC2068 # one may be two
  ! "$nim" c "${flags[@]}" --compileOnly --nimcache:"$work/refused" ${options[@]} "$bare/app.nim" >"$work/why" 2>&1 &&
    grep -q "gomax: .*$1" "$work/why" || { cat "$work/why"; return 1; }
}
start "compiles with the options of docs/nim.md" run "$docs/app.nim" app
start "refuses --threads:off" refuses "threads:on" --threads:on --threads:off
start "refuses refc" refuses "mm:orc" --mm:orc --mm:refc
start "refuses native thread variables" refuses "tlsEmulation:on" --tlsEmulation:on --tlsEmulation:off
start "refuses exceptions by setjmp" refuses "exceptions:goto" --mm:orc "--mm:orc --exceptions:setjmp"
start "refuses Nim's allocator" refuses "useMalloc" --define:useMalloc --define:other

captures() { # a block that uses what it was not given
  printf 'import gomax\nproc f(s: string) =\n  go: echo s\nf "x"\n' >"$docs/captures.nim"
  ! "$nim" c "${flags[@]}" --compileOnly --nimcache:"$work/refused" "$docs/captures.nim" || return 1
  sed 's/go: /go(s): /' "$docs/captures.nim" >"$docs/takes.nim"
  "$nim" c "${flags[@]}" --compileOnly --nimcache:"$work/refused" "$docs/takes.nim"
}
start "a block has what it was given, and no more" captures

links() {
  mkdir -p "$work/tree/a"
  printf '[one](a/two.md) [no](none.md)\n```\n[x](y)\n```\n' >"$work/tree/one.md"
  printf '[back](../one.md#here) [web](https://example.org)\n' >"$work/tree/a/two.md"
  cp bindings/nim/examples/linkcheck.nim "$docs/linkcheck.nim"
  "$nim" c "${flags[@]}" --nimcache:"$cache/linkcheck" -o:"$work/linkcheck" "$docs/linkcheck.nim" &&
    diff <(cd "$work/tree" && "$work/linkcheck" .) <(printf './one.md:1: none.md\n4 links, 1 broken\n')
}
start "examples/linkcheck.nim" links
for program in "$docs"/[0-9]*.nim; do
  n=$(basename "$program" .nim)
  mv "$program" "$docs/page$n.nim" # the name of a module is a word
  start "docs/nim.md: $n.nim" run "$docs/page$n.nim" "page$n"
done
hosts() { # with the options of docs/start.md
  programs docs/start.md "$docs/start"
  awk '/^```/ { out = $1 == "```cfg"; next } out' docs/start.md >"$docs/start/nim.cfg"
  mv "$docs/start/"[0-9]*.nim "$docs/start/up.nim"
  "$nim" c "${flags[@]}" --nimcache:"$cache/up" -o:"$work/up" "$docs/start/up.nim" && ci/start.py "$work/up"
}
start "docs/start.md" hosts
if command -v nimble >/dev/null; then
  check "gomax.nimble" grep -qx "version: \"$gomax_version\"" <(cd bindings/nim && nimble dump)
fi

summary
