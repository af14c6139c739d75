#!/usr/bin/env bash
# Runs the scenes of docs/scheduler.md, and draws their traces into a directory.
#
#   docs/pictures/draw.sh OUT LIBDIR      LIBDIR has libgomax.so; gomax-trace is in PATH, or is TRACE
set -euo pipefail
out=$(realpath "$1") lib=$(realpath "$2")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in *.c; do
  name=${file%.c}
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I../../include -pthread -o "$work/$name" "$file" \
    -L"$lib" -lgomax "-Wl,-rpath,$lib"
  "$work/$name" "$work/$name.gmxtrace"
  "${TRACE:-gomax-trace}" check "$work/$name.gmxtrace"
  # the first line of the program says what it shows
  "${TRACE:-gomax-trace}" draw "$work/$name.gmxtrace" "$out/$name.svg" --title "$(sed -nE '1s:/\* (.*)\. \*/:\1:p' "$file")"
done
