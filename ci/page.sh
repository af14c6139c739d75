#!/usr/bin/env bash
# Builds the live page (inside/page) and tests it: its own tests; a program that is looked at by sockets, by gomaxctl
# and by a browser, if there is one (chromium); wrong requests; and what is left of it in a child of fork.
#
#   ci/page.sh         takes about a minute, most of it to build the crates
#   ci/page.sh go      also asks Go's own parser about a trace of it, and clippy about the sources. ci/inside.sh go has
#                      made Go's tool before
#
# Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CARGO, CC, PYTHON;
# ONLY a part of the name of a test in inside/page/tests/page.py.
source "$(dirname "$0")/lib.sh"
use_library
cargo=${CARGO:-cargo} cc=${CC:-cc} python=${PYTHON:-python3}

page_cargo() { "$cargo" "$1" --manifest-path inside/page/Cargo.toml --quiet "${@:2}"; }
built() {
  page_cargo build --release --locked --target-dir "$target/inside" &&
    cp "$target/inside/release/libgomax_debug.so" "$work/lib/libgomax-debug.so.0" && cp "$target/inside/release/gomaxctl" "$work"
}
tests() { # as one count
  page_cargo test --release --locked --target-dir "$target/inside" 2>&1 | tee "$work/tests"
  [[ ${PIPESTATUS[0]} == 0 ]] && sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$work/tests" |
    awk '{ n += $1 } END { print n " passed, 0 failed" }'
}
licences() { # of the crates that are linked: each may be used as MIT or Apache-2.0
  page_cargo tree --locked -e normal --prefix none -f '{p}|{l}' | sort -u | awk -F'|' '
    { n++; ok = 0; split($2, parts, / OR |\//) ; for (i in parts) if (parts[i] ~ /^ *(MIT|Apache-2\.0) *$/) ok = 1
      if (!ok) { print; bad = 1 } }
    END { exit bad || n < 3 }'
}
manual() { # the page has each command and each option of --help
  local word bad=0
  for word in $("$work/gomaxctl" --help | grep -oE '^  gomaxctl (PID\|SOCKET )?[a-z]+|^  --[a-z-]+' | grep -oE '(--)?[a-z-]+$'); do
    sed 's/\\-/-/g' packaging/manual/gomaxctl.1 | grep -q -- "$word" || { echo "gomaxctl.1 does not have $word"; bad=1; }
    grep -q -- "$word" docs/inside.md || { echo "docs/inside.md does not have $word"; bad=1; }
  done
  return $bad
}
alone() { # it exports one function, and its names are in no other's way
  [[ $(nm -D --defined-only "$work/lib/libgomax-debug.so.0" | awk '{ print $3 }') == gmx_page_open ]] &&
    readelf -d "$work/lib/libgomax-debug.so.0" | grep -q 'SONAME.*\[libgomax-debug.so.0\]' &&
    ! readelf -d "$lib" | grep NEEDED | grep -v 'lib\(c\|gcc_s\)\.\|ld-linux\|libc.musl'
}
scene() {
  "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -Iinclude -pthread -o "$work/scene" inside/page/tests/scene.c \
    -L"$work/lib" -lgomax
}
looked_at() {
  "$python" inside/page/tests/page.py "$work/scene" "$work/gomaxctl" \
    "$(command -v chromium || command -v chromium-browser || command -v google-chrome)"
}
without() { # the second library: the call says so, and the setting
  mkdir "$work/alone" && cp "$work/lib/libgomax.so" "$work/alone/libgomax.so.0" || return 1
  [[ $(LD_LIBRARY_PATH=$work/alone "$work/scene" 127.0.0.1:0 </dev/null) == "GMX_ENOTSUP -"$'\n'ready ]] &&
    [[ $(LD_LIBRARY_PATH=$work/alone GMXDEBUG=http=127.0.0.1:0 "$work/scene" - 2>&1 </dev/null) == *"no live page at 127.0.0.1:0: errno 95"* ]]
}
go_reads() {
  local url
  coproc SCENE { "$work/scene" "unix:$work/go.sock" 1; }
  local in=${SCENE[1]}
  read -r _ url <&"${SCENE[0]}"
  "$work/gomaxctl" "${url#unix:}" trace 1 --output "$work/page.trace" || return 1
  exec {in}>&-
  "$target/inside-go/trace" -d=parsed "$work/page.trace" >"$work/parsed"
}

check "builds" built
((failed == 0)) || { summary; exit; }
counted "its own tests" tests
if "$cargo" fmt --version >/dev/null 2>&1; then check "form" page_cargo fmt --check; fi
check "licences" licences
check "the manual page" manual
check "one function, and libgomax needs the C library alone" alone
check "a program to look at" scene
counted "the page" looked_at
check "without the second library" without
if [[ ${1:-} == go ]]; then
  check "lints" page_cargo clippy --release --locked --target-dir "$target/inside" --all-targets -- -D warnings
  check "Go's parser" go_reads
fi
summary
