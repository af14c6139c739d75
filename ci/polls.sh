#!/usr/bin/env bash
# Tests polls by compile flag: builds the plugins (polls/), and with each of them the hogs of polls/tests, which stop,
# move to other threads, keep their registers and share their Ps; looks at the code of hot loops; installs the plugins,
# and builds programs with pkg-config and CMake. Ends with `N passed, N failed`. Skipped (77) if no compiler has the
# headers that its plugin needs, and apt has none.
# `ci/polls.sh stress` instead builds zlib, lz4 and SQLite, from Debian's sources, with each plugin; their own tests run
# as a goroutine in a world that is stopped all the time. `ci/polls.sh cost` prints what polls cost in the three, in CPU
# time and instructions, and how long a goroutine beside hogs with polls waits: docs/measurements.md.
# Environment: GMX_LIB another libgomax.so than target/release's, COMPILERS (of gcc, gcc-12, clang, clang-14 and so on).
source "$(dirname "$0")/lib.sh"
use_library
root=$PWD plugins=$work/plugins

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null 2>&1; }
if ! polls/build.sh "$plugins" >"$work/built" 2>&1 || grep -q 'no headers' "$work/built"; then
  packages=$(grep -oE "(gcc-[0-9]+-plugin|llvm-[0-9]+)-dev" "$work/built")
  if [[ -n $packages ]] && ((EUID == 0)) && command -v apt-get >/dev/null; then
    for package in $packages; do # the first may be unknown to apt, and the second known
      apt install -y --no-install-recommends "$package" || { apt update && apt install -y --no-install-recommends "$package"; }
    done
  fi
  rm -rf "$plugins"
  polls/build.sh "$plugins" >"$work/built" 2>&1
fi
cat "$work/built"
! grep -q 'does not compile' "$work/built" || { echo "0 passed, 1 failed"; exit 1; }
compilers=()
for plugin in "$plugins"/*/*.so; do [[ ! -e $plugin ]] || compilers+=("$(basename "$(dirname "$plugin")")"); done
((${#compilers[@]})) || exit 77

# For a compiler such as gcc-12: cc, its command; with, the flags for polls; tied, those for polls that stay
use() {
  cc=$1
  command -v "$cc" >/dev/null || cc=${1%-*}
  if [[ $1 == gcc* ]]; then
    with=("-fplugin=$plugins/$1/gmxpoll_gcc.so")
    tied=("${with[@]}" -fplugin-arg-gmxpoll_gcc-tied)
  else
    with=("-fpass-plugin=$plugins/$1/GmxPoll.so")
    tied=("${with[@]}" "-fplugin=$plugins/$1/GmxPoll.so" -mllvm -gmx-poll-tied)
  fi
}

# ---- the gate -------------------------------------------------------------------------------------------------------

hogs() { # NAME LINK FLAGS...: $work/NAME, of polls/tests/NAME.c and of hogs that the flags build; lazily bound
  "$cc" -std=gnu11 -g -Wall -Wextra -Werror "${@:3}" -c polls/tests/hogs.c -o "$work/hogs.o" &&
    "$cc" -std=gnu11 -g -Wall -Wextra -Werror -Iinclude -c "polls/tests/$1.c" -o "$work/$1.o" &&
    "$cc" "$work/$1.o" "$work/hogs.o" -o "$work/$1" -L"$root_lib" -lgomax -pthread -lm -Wl,-z,lazy "$2"
}
root_lib=$work/lib
with_polls() { # COMPILER PIE FLAGS...
  use "$1"
  hogs polls "$2" "${with[@]}" "${@:3}" && timeout 240 "$work/polls"
}
shares() { # COMPILER: other Gs, timers, stops and barriers get the Ps of hogs
  use "$1"
  hogs sharing -pie -fPIE -O2 "${with[@]}" && timeout 240 "$work/sharing"
}
without_polls() { # COMPILER: the tests notice that there are none
  use "$1"
  hogs polls -pie -fPIE -O2 -Wno-attributes && timeout 120 "$work/polls" none && ! timeout 120 "$work/polls"
}
code() { # COMPILER: hot loops call nothing, and polls do not go through the loader's resolver, which loses registers
  use "$1"
  "$cc" -std=gnu11 -O2 -Wall "${with[@]}" -c polls/tests/hogs.c -o "$work/hot.o" &&
    objdump -d --no-show-raw-insn "$work/hot.o" | awk -f polls/tests/hot.awk && objdump -r "$work/hot.o" >"$work/relocations" &&
    grep -q 'GOT.*gmx_poll_slow' "$work/relocations" && ! grep 'gmx_poll_slow' "$work/relocations" | grep -v GOT
}
all_tied() { # COMPILER
  use "$1"
  "$cc" -std=gnu11 -O2 "${tied[@]}" -c polls/tests/hogs.c -o "$work/tied.o" && nm -u "$work/tied.o" | tee "$work/undefined" &&
    grep -q 'gmx_poll_slow_tied' "$work/undefined" && ! grep -q 'gmx_poll_slow$' "$work/undefined"
}
(($#)) || for compiler in "${compilers[@]}"; do
  start "$compiler -O2" with_polls "$compiler" -pie -fPIE -O2
  start "$compiler -O0, position independent" with_polls "$compiler" -pie -fPIC -O0
  start "$compiler -O3, a fixed address" with_polls "$compiler" -no-pie -fno-pie -O3 -march=native
  start "$compiler without polls" without_polls "$compiler"
  start "$compiler, what shares the Ps" shares "$compiler"
  start "$compiler, code of hot loops" code "$compiler"
  start "$compiler, all polls tied" all_tied "$compiler"
done
settle

# ---- as installed ---------------------------------------------------------------------------------------------------

cat >"$work/loops.c" <<'C'
#include <gomax.h>
static volatile int end;
static void loops(void *arg) { (void)arg; while (!end) {} }
static void ends(void *arg) { (void)arg; end = 1; }
int main(void) {
  gmx_config config;
  if (gmx_config_default(&config)) return 2;
  config.maxprocs = 1;
  config.flags = GMX_CONFIG_PREEMPT_OFF; /* only a poll can end the loop's slice */
  return gmx_init(&config) || gmx_spawn(loops, 0) || gmx_spawn(ends, 0) || gmx_shutdown(INT64_C(20000000000));
}
C
installed() {
  local dest=$work/dest make=${MAKE:-make} moved
  mkdir "$work/build" "$work/build/release" && cp -r "$plugins" "$work/build/polls" || return 1
  cp "$lib" "$work/build/release/libgomax.so" && : >"$work/build/release/libgomax.a" || return 1
  local at=(CARGO_TARGET_DIR="$work/build" DESTDIR="$dest" PREFIX=/opt/gomax CC="$cc")
  "$make" -s install "${at[@]}" && "$make" -s install-polls "${at[@]}" || return 1
  export PKG_CONFIG_PATH=$dest/opt/gomax/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=
  ! grep -n '@[A-Z_]*@' "$PKG_CONFIG_PATH"/*.pc || return 1
  if command -v pkg-config >/dev/null; then
    for compiler in "${compilers[@]}"; do
      use "$compiler"
      moved=$(pkg-config --define-variable=prefix="$dest/opt/gomax" --cflags --libs "gomax-poll-$compiler") || return 1
      # shellcheck disable=SC2086
      "$cc" -O2 -o "$work/loops" "$work/loops.c" $moved && LD_LIBRARY_PATH=$dest/opt/gomax/lib "$work/loops" || return 1
    done
  fi
  if command -v cmake >/dev/null; then
    cat >"$work/build/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(polls C)
find_package(gomax CONFIG REQUIRED COMPONENTS poll)
add_executable(loops ../loops.c)
target_link_libraries(loops PRIVATE gomax::poll)
CMAKE
    for compiler in "${compilers[@]}"; do
      use "$compiler"
      rm -rf "$work/cmake"
      cmake -S "$work/build" -B "$work/cmake" -Dgomax_DIR="$dest/opt/gomax/lib/cmake/gomax" -DCMAKE_C_COMPILER="$cc" &&
        cmake --build "$work/cmake" && "$work/cmake/loops" || return 1
    done
    # a compiler that has no plugin
    rm -rf "$work/cmake" "$dest/opt/gomax/lib/gomax"
    ! cmake -S "$work/build" -B "$work/cmake" -Dgomax_DIR="$dest/opt/gomax/lib/cmake/gomax" -DCMAKE_C_COMPILER="$cc" \
      >"$work/refused" 2>&1 && grep -q "no plugin of gomax" "$work/refused" || { cat "$work/refused"; return 1; }
  fi
  "$make" -s uninstall "${at[@]}" && [[ -z $(find "$dest" ! -type d) ]] || { find "$dest" ! -type d; return 1; }
}
use "${compilers[0]}"
(($#)) || check "as installed" installed

# ---- other projects' code -------------------------------------------------------------------------------------------

sources=$target/polls-sources
options_of_sqlite=(-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION) # a lock of the system would be held at a poll
fetch() ( # PACKAGE...: Debian's sources, each in a directory of its name and version
  local missing=() package archive
  for package in "$@"; do compgen -G "$sources/$package-[0-9]*/" >/dev/null || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  mkdir -p "$sources/lists/partial" && cd "$sources" || return 1
  echo 'deb-src http://deb.debian.org/debian stable main' >list
  local options=(-qq -o Dir::Etc::sourcelist="$PWD/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$PWD/lists")
  apt-get "${options[@]}" update >log 2>&1 &&
    apt-get "${options[@]}" source --download-only "${missing[@]}" >>log 2>&1 || return 1
  for package in "${missing[@]}"; do
    for archive in "$package"_*.orig.tar.*; do tar xf "$archive" || return 1; done
  done
)
fetch_sqlite() ( # SQLite's program makes one file of its sources; it is written in Tcl
  [[ ! -e $sources/sqlite/sqlite3.c ]] || return 0
  fetch sqlite3 && { command -v tclsh >/dev/null || { ((EUID == 0)) && apt install -y tcl; }; } || return 1
  mkdir -p "$sources/sqlite" && cd "$sources/sqlite" &&
    ../sqlite3-[0-9]*/configure --disable-tcl --disable-shared >>../log 2>&1 && make sqlite3.c >>../log 2>&1 &&
    cp ../sqlite3-[0-9]*/test/speedtest1.c . || { rm -f sqlite3.c; return 1; }
)

# as a goroutine, in a world that is stopped again and again
links=(-Wl,--wrap=main -L"$work/lib" -lgomax -pthread)
tests_of_zlib() { # COMPILER
  use "$1"
  cp -r "$sources"/zlib-1* "$work/zlib" && "$cc" -O2 -Iinclude -c polls/tests/wrap.c -o "$work/wrap.o" && cd "$work/zlib" &&
    CC=$cc ./configure --static && make -j2 libz.a example minigzip CC="$cc" CFLAGS="-O2 -w ${with[*]}" \
    TEST_LDFLAGS="-L. libz.a $work/wrap.o ${links[*]}" LDFLAGS="$work/wrap.o ${links[*]}" && make teststatic && ./example 2>&1 | grep -E '^[0-9]+ stops'
}
tests_of_lz4() { # COMPILER
  use "$1"
  cp -r "$sources"/lz4-1* "$work/lz4" && "$cc" -O2 -Iinclude -c polls/tests/wrap.c -o "$work/wrap.o" && cd "$work/lz4/tests" &&
    make -j2 fuzzer frametest CC="$cc" CFLAGS="-O2 -w ${with[*]}" LDFLAGS="$work/wrap.o ${links[*]}" &&
    ./fuzzer -s1 -i300 >"$work/fuzzer" 2>&1 && grep -E '[1-9][0-9]+ stops' "$work/fuzzer" &&
    ./frametest -s1 -i300 >"$work/frametest" 2>&1 && grep -E '[1-9][0-9]+ stops' "$work/frametest"
}

# SQLite's speedtest1 tells a hash of all results: it is the same without polls.
speedtest_of_sqlite() { # OUTPUT FLAGS...
  local s=$sources/sqlite
  "$cc" -w "${options_of_sqlite[@]}" -I"$s" -o "$1" "${@:2}" "$s/sqlite3.c" "$s/speedtest1.c" -lm
}
tests_of_sqlite() { # COMPILER
  local tests database n=0
  use "$1"
  "$cc" -O2 -Iinclude -c polls/tests/wrap.c -o "$work/wrap.o" && speedtest_of_sqlite "$work/plain" -O0 &&
    speedtest_of_sqlite "$work/polls" -O2 "${with[@]}" "$work/wrap.o" "${links[@]}" && cd "$work" || return 1
  for tests in main orm cte fp; do
    for database in --memdb file; do
      ./plain "$database" --verify --size 20 --testset "$tests" >plain.out || return 1
      ./polls "$database" --verify --size 20 --testset "$tests" >polls.out 2>stops && grep -E '^[1-9][0-9]* stops' stops ||
        { tail polls.out stops; return 1; }
      diff <(grep '^Verification Hash: [1-9]' plain.out) <(grep '^Verification Hash:' polls.out) && n=$((n + 1)) || return 1
    done
  done
  ((n == 8))
}

if [[ ${1:-} == stress ]]; then
  if fetch zlib lz4; then
    for compiler in "${compilers[@]}"; do
      start "$compiler: the tests of zlib" tests_of_zlib "$compiler"
      start "$compiler: the tests of lz4" tests_of_lz4 "$compiler"
    done
  else
    echo "left out: zlib and lz4, whose sources apt cannot fetch"
  fi
  if fetch_sqlite; then
    for compiler in "${compilers[@]}"; do start "$compiler: the tests of SQLite" tests_of_sqlite "$compiler"; done
  else
    echo "left out: SQLite, whose sources apt cannot fetch, or for which there is no Tcl"
  fi
fi

build_cost() { # NAME FLAGS...
  local z=("$sources"/zlib-1*) l=("$sources"/lz4-1*) s=$sources/sqlite
  mkdir -p "$work/$1" && for file in polls/tests/kernels.c "$z"/{adler32,compress,crc32,deflate,inffast,inflate,inftrees}.c \
    "$z"/{trees,uncompr,zutil}.c "$l"/lib/lz4.c; do
    "$cc" -O2 -w -I"$z" "${@:2}" -c "$file" -o "$work/$1/$(basename "$file" .c).o" || return 1
  done
  # WASM: its main may be called more than once
  for file in sqlite3 speedtest1; do
    "$cc" -O2 -w -I"$s" "${options_of_sqlite[@]}" -DSQLITE_SPEEDTEST1_WASM -Dmain=speedtest1 "${@:2}" -c "$s/$file.c" \
      -o "$work/$1/$file.o" || return 1
  done
  gcc -O2 -Wall -I"$z" -I"$l/lib" -c polls/tests/cost.c -o "$work/$1/cost.o" &&
    gcc -o "$work/$1/cost" "$work/$1"/*.o -L"$work/lib" -lgomax -lm
}
# Beside hogs with polls, where polls alone end slices: p50 and p99
waits() {
  local row case hogs procs
  "$cc" -O2 "${with[@]}" -Iinclude benches/latency/latency.c -o "$work/latency" -L"$work/lib" -lgomax -pthread || return 1
  printf '%-10s %4s %4s %10s %10s ms\n' "$1" Ps hogs p50 p99
  for row in "timer 1 1" "timer 1 10" "timer 1 100" "from_host 1 1" "from_host 1 10" \
    {mem_stats,heap_dump,resize,barrier}" 2 "{1,10,100}; do
    read -r case procs hogs <<<"$row"
    GMXDEBUG=preempt=0 "$work/latency" "$case" "$hogs" 100 "$procs" | sort -n | awk -v row="$row" '
      { late[NR] = $1 / 1e6 }
      END { split(row, r)
            printf "%-10s %4d %4d %10.3f %10.3f\n", r[1], r[2], r[3], late[int((NR + 1) / 2)], late[int(NR * 0.99)] }'
  done
}
if [[ ${1:-} == cost ]]; then
  fetch zlib lz4 && fetch_sqlite || { echo "there are no sources of zlib, lz4 and SQLite"; exit 1; }
  for compiler in "${compilers[@]}"; do
    use "$compiler"
    build_cost plain && build_cost polls "${with[@]}" || exit 1
    : >"$work/times"
    for ((i = 0; i < ${ROUNDS:-6}; i++)); do
      for kind in plain polls; do "$work/$kind/cost" 5 | sed "s/^/$kind /" >>"$work/times"; done
    done
    for kind in plain polls; do
      if command -v valgrind >/dev/null; then
        valgrind --tool=callgrind --callgrind-out-file="$work/calls" "$work/$kind/cost" 1 >/dev/null 2>&1
        callgrind_annotate --threshold=100 --inclusive=yes "$work/calls" 2>/dev/null |
          sed -nE "s/^ *([0-9,]+) .*:run_([a-z0-9]+)( .*)?\$/$kind \2 \1/p" | tr -d , >>"$work/instructions"
      fi
    done
    awk -v compiler="$compiler" '
      NR == FNR { if (!($2 in seen)) { seen[$2]; order[++n] = $2 }
                  if (!(($1, $2) in best) || $3 < best[$1, $2]) best[$1, $2] = $3; next }
      { count[$1, $2] = $3 }
      END { printf "%-10s %10s %10s %8s %14s\n", compiler, "ms", "with polls", "", "instructions"
            for (i = 1; i <= n; i++) { k = order[i]; p = best["plain", k]; q = best["polls", k]
              printf "%-10s %10.2f %10.2f %+7.1f%%", k, p, q, (q / p - 1) * 100
              if (count["plain", k]) printf " %+13.1f%%", (count["polls", k] / count["plain", k] - 1) * 100
              print "" } }' "$work/times" "$work/instructions"
    rm -rf "$work/plain" "$work/polls" "$work/instructions"
    waits "$compiler" || exit 1
  done
fi
summary
