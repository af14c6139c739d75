#!/usr/bin/env bash
# Holds the documents to what is there: fences marked ```c run, ```cpp run and ```python run are built and run against the
# release library, names of the interface must be in the source, links must lead somewhere. Ends with `N passed, N failed`.
# Environment: GMX_LIB another libgomax.so than target/release's, CC, CXX, PYTHON.
set -uo pipefail
cd "$(dirname "$0")/.."
documents=(README.md HACKING.md docs/*.md)
lib=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
[[ -e $lib ]] || { echo "there is no $lib: make build" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$lib" "$work/libgomax.so"
ln -s "$lib" "$work/libgomax.so.0"
export LD_LIBRARY_PATH=$work
flags=(-Wall -Wextra -Werror -O2 -pthread -Iinclude -L"$work" -lgomax)
passed=0 failed=0

# check NAME COMMAND...: what it prints is shown if it fails
check() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
    sed 's/^/    | /' "$work/said"
  fi
}

run() {
  case $1 in
  *.c) "${CC:-cc}" -std=c11 -D_GNU_SOURCE -o "$1.exe" "$1" "${flags[@]}" && timeout 60 "$1.exe" ;;
  *.cpp) "${CXX:-c++}" -std=c++17 -o "$1.exe" "$1" "${flags[@]}" && timeout 60 "$1.exe" ;;
  *.python) timeout 60 "${PYTHON:-python3}" "$1" ;;
  *) false ;;
  esac
}

names() { # each one must stand in the source as a word
  local name bad=0
  for name in $(grep -ohE '\b(gmx|GMX)_[A-Za-z0-9_]*[A-Za-z0-9]\b' "$1" | sort -u); do
    grep -rqw -- "$name" include src tests ctests ci benches demo Makefile --exclude=readme.sh || { echo "$name"; bad=1; }
  done
  for name in $(grep -ohE '\bgomax::[a-z_]+' "$1" | sort -u); do # in CMake's sense too
    grep -qw -- "${name#gomax::}" include/gomax.hpp packaging/gomaxConfig.cmake.in || { echo "$name"; bad=1; }
  done
  return $bad
}

links() { # to files, and to headings of this document
  local to bad=0
  for to in $(awk '/^```/ { code = !code } !code' "$1" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//; /^http/d'); do
    if [[ $to == \#* ]]; then
      grep -E '^#+ ' "$1" | sed -E 's/^#+ //; s/[^A-Za-z0-9 -]//g; s/ /-/g' | tr A-Z a-z | awk '{ print (n[$0]++ ? $0 "-" n[$0] - 1 : $0) }' |
        grep -qx -- "${to#\#}" || { echo "$to"; bad=1; }
    else
      [[ -e $(dirname "$1")/${to%%#*} ]] || { echo "$to"; bad=1; }
    fi
  done
  return $bad
}

ranks() { # the table of lock ranks is that of src/sync/rank.rs
  diff <(sed -nE 's/^    ([A-Z][A-Za-z]*) = ([0-9]+),$/\2 \1/p' src/sync/rank.rs) \
    <(sed -nE 's/^\| ([0-9]+) \| `([A-Za-z]+)` \|.*/\1 \2/p' HACKING.md)
}

for document in "${documents[@]}"; do
  awk -v to="$work/$(basename "$document" .md)-" '
    /^```/ { if (out) { close(out); out = "" } else if ($2 == "run") out = to (++n) "." substr($1, 4); next }
    out { print > out }' "$document"
  check "$document: names" names "$document"
  check "$document: links" links "$document"
done
check "HACKING.md: lock ranks" ranks
for program in "$work"/*-[0-9]*.*; do check "$(basename "$program")" run "$program"; done

echo "$passed passed, $failed failed"
((failed == 0))
