#!/usr/bin/env bash
# Builds examples/httpd and tests it as its clients see it (check.py). Ends with `N passed, N failed`.
# Environment: GMX_LIB another libgomax.so than target/release's, CC, PYTHON, GMX_SEED.
. "$(dirname "$0")/../../ci/lib.sh"
set -e

lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
[[ -e $lib ]] || "${MAKE:-make}" --no-print-directory -s build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib"
ln -s "$lib" "$work/lib/libgomax.so"
ln -s "$lib" "$work/lib/libgomax.so.0"
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pedantic -Iinclude -o "$work/httpd" examples/httpd/httpd.c \
  -pthread -L"$work/lib" -lgomax -Wl,-rpath,"$work/lib"
"${PYTHON:-python3}" examples/httpd/check.py "$work/httpd"
