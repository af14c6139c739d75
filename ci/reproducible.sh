#!/usr/bin/env bash
# Builds the committed tree twice, in two directories whose paths differ in length, and compares the results; then
# prints the hashes, which equal those of a release if the toolchain is the same. Environment: CARGO, CC.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tree in "$work/a" "$work/elsewhere/and-longer"; do
  mkdir -p "$tree"
  git archive HEAD | tar -x -C "$tree"
  env -u CARGO_TARGET_DIR -u RUSTFLAGS make -s -C "$tree" build
done
failed=0
for file in libgomax.so libgomax.a; do
  cmp "$work/a/target/release/$file" "$work/elsewhere/and-longer/target/release/$file" || failed=1
done
(cd "$work/a/target/release" && sha256sum libgomax.so libgomax.a)
readelf -p .comment "$work/a/target/release/libgomax.so" | grep -o 'rustc version.*'
echo "$((1 - failed)) passed, $failed failed"
((failed == 0))
