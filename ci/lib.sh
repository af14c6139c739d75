# What the suites share. A suite sources it first: it is in the root of the tree then, and has
#   target        cargo's target directory
#   gomax_version the library's, which packages must have too
#   use_library   sets lib, the library under test: $GMX_LIB, else the release build's. Makes work, a directory that is
#                 removed at the end, with work/lib to link with, and sets LD_LIBRARY_PATH to it
#   check NAME COMMAND...      counts the command as one test. Its output goes to $work/said, and is shown if it fails
#   counted NAME COMMAND...    as check, for a command that says how many of its own tests passed: each of them counts
#   start NAME COMMAND...      as check, in the background, where as many commands run as there are CPUs. $work is a
#                              directory of the command's own meanwhile. start_counted is the same with counted
#   settle                     waits for the commands that were started, and counts them in the order of their starts
#   precompile DIR COMPILER FLAG...  compiles gomax.hpp for the compiler with these flags into DIR, and sets
#                              `precompiled` to the flags with which programs use the result
#   programs DOCUMENT DIR      writes the fences of a document into DIR: ```nim run as 1.nim, 2.nim in their order; a
#                              fence whose mark has a dot in it, as ```zig build.zig, under that name; a fence without
#                              a mark, ```nim, as part1.nim
#   wrapped TABLE SOURCE...    checks a binding against gomax.h: its sources use each function, or the table names it
#                              with the reason why not; and the table names no others
#   summary       settles; `N passed, N failed`, which ci/test.sh reads; its status is the suite's
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
gomax_version=$(sed -nE '/^version = "(.*)"/{s//\1/p;q}' Cargo.toml)
passed=0 failed=0 started=0 settled=0

use_library() {
  lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
  [[ -e $lib ]] || { echo "there is no $lib: make build" >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/lib"
  ln -s "$lib" "$work/lib/libgomax.so"
  ln -s "$lib" "$work/lib/libgomax.so.0"
  export LD_LIBRARY_PATH=$work/lib
}

record() { # NAME STATUS OUTPUT [counted]
  local n=1
  if (($2)); then
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    | /' "$3"
    return
  fi
  if [[ -n ${4:-} ]]; then # unittest.nim says each test; Zig and our own programs give a number in a last line
    n=$(grep -c '^ *\[OK\]' "$3")
    ((n)) || n=$(sed -nE 's/^.* ([0-9]+)\/[0-9]+ tests passed.*|^([0-9]+) passed, 0 failed$/\1\2/p' "$3" | tail -n 1)
    ((${n:-0})) || n=1
  fi
  passed=$((passed + n))
}

check() {
  "${@:2}" >"$work/said" 2>&1
  record "$1" $? "$work/said"
}

counted() {
  "${@:2}" >"$work/said" 2>&1
  record "$1" $? "$work/said" counted
}

start() {
  local at=$work/started$started
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
  mkdir "$at" || return
  printf '%s\n' "$1" >"$at/name"
  (
    work=$at
    "${@:2}" >"$at/said" 2>&1
    echo $? >"$at/status"
  ) &
  started=$((started + 1))
}

start_counted() {
  touch "$work/counted$started"
  start "$@"
}

settle() {
  local at how
  wait
  for (( ; settled < started; settled++)); do
    at=$work/started$settled how=
    [[ ! -e $work/counted$settled ]] || how=counted
    [[ -s $at/status ]] || echo 1 >"$at/status" # it was killed
    record "$(<"$at/name")" "$(<"$at/status")" "$at/said" $how
    rm -rf "$at"
  done
}

precompile() {
  mkdir -p "$1" && "${@:2}" -Iinclude -x c++-header -o "$1/gomax.hpp.gch" include/gomax.hpp || return 1
  ln -sf "$PWD/include/gomax.hpp" "$1/gomax.hpp" # for a header that includes it later
  precompiled=(-I"$1")
  [[ $2 != clang* ]] || precompiled=(-include-pch "$1/gomax.hpp.gch")
}

programs() {
  mkdir -p "$2" || return 1
  awk -v to="$2/" '
    /^```/ { if (out) { close(out); out = "" }
             else if ($2 == "run") out = to (++n) "." substr($1, 4)
             else if ($2 ~ /\./) out = to $2
             else if (NF == 1 && $1 != "```") out = to "part" (++parts) "." substr($1, 4)
             next }
    out { print > out }' "$1"
}

wrapped() {
  local table=$1 name used noted bad=0
  shift
  # without comments: a name in one is not a use
  sed -E 's@//.*|#.*@@' "$@" | sed 's@/\*.*\*/@@; /\/\*/,/\*\//d' | grep -oE '\bgmx_[a-z0-9_]+' | sort -u >"$work/used"
  sed -nE 's/^(gmx_[a-z0-9_]+) +[^ ].*/\1/p' "$table" | sort >"$work/noted"
  sed -nE 's/^(GMX_MUST_USE )?GMX_API [^;(]*\b(gmx_[a-z0-9_]+)\(.*/\2/p' include/gomax.h | sort >"$work/functions"
  for name in $(<"$work/functions"); do
    used=$(grep -cx "$name" "$work/used") noted=$(grep -cx "$name" "$work/noted")
    ((used + noted == 1)) || { echo "$name: in the sources $used, in $table $noted"; bad=1; }
  done
  comm -23 "$work/noted" "$work/functions" | sed "s@\$@: in $table, and no function@" | tee "$work/strays"
  [[ $(wc -l <"$work/functions") -gt 100 && ! -s $work/strays ]] && ((bad == 0))
}

summary() {
  settle
  echo "$passed passed, $failed failed"
  ((failed == 0))
}
