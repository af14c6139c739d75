#!/usr/bin/env bash
# Measures the time that Zig and Nim add to a call: runs the cases of bench.c in each language, in turn, ROUNDS=9 times,
# and prints the best of each in nanoseconds. Environment: GMX_LIB another libgomax.so than target/release's. Zig and
# Nim are those that ci/zig.sh and ci/nim.sh find.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$lib" "$work/libgomax.so"
ln -s "$lib" "$work/libgomax.so.0"
export LD_LIBRARY_PATH=$work
languages=(C)
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Iinclude -o "$work/C" benches/bindings/bench.c -pthread -L"$work" -lgomax
if ci/zig.sh setup; then
  zig=("${GMX_ZIG:-zig}")
  [[ ! -x $target/zig/venv/bin/python ]] || zig=("$target/zig/venv/bin/python" -m ziglang)
  (cd "$work" && ZIG_GLOBAL_CACHE_DIR=$target/zig/global ZIG_LOCAL_CACHE_DIR=$target/zig/local "${zig[@]}" build-exe -Ofast \
    -femit-bin="$work/Zig" --dep gomax -Mroot="$root/benches/bindings/bench.zig" -lgomax -L "$work" -Ofast \
    -Mgomax="$root/bindings/zig/src/gomax.zig" -lc) && languages+=(Zig)
fi
if ci/nim.sh setup; then
  "${NIM:-nim}" c --hints:off --threads:on --mm:arc --tlsEmulation:on -d:useMalloc --exceptions:goto -d:danger --path:bindings/nim/src \
    --passC:-Iinclude --passL:-L"$work" --nimcache:"$target/nim/bench" -o:"$work/Nim" benches/bindings/bench.nim && languages+=(Nim)
fi
for ((round = 0; round < ${ROUNDS:-9}; round++)); do
  for language in "${languages[@]}"; do "$work/$language" | sed "s/^/$language /"; done
done | awk -v languages="${languages[*]}" '
  { key = $1 " " $2; if (!(key in best) || $3 < best[key]) best[key] = $3 }
  END {
    n = split(languages, l, " "); split("spawn pingpong callback", cases, " ")
    printf "%-10s", "ns"; for (i = 1; i <= n; i++) printf " %8s", l[i]; print ""
    for (c = 1; c <= 3; c++) { printf "%-10s", cases[c]; for (i = 1; i <= n; i++) printf " %8.1f", best[l[i] " " cases[c]]; print "" }
  }'
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //' || true
