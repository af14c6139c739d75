#!/usr/bin/env bash
# Tests the gdb script: it stops a program whose goroutines wait in known places, and gdb must find them there; then
# again in a core, if the system writes one. 77 without gdb. Environment: GMX_LIB another libgomax.so than
# target/release's, CC.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v gdb >/dev/null || { echo "there is no gdb"; exit 77; }
lib=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$lib" "$work/libgomax.so"
# stripped, as distributions have it: the script must not need symbols
strip -o "$work/libgomax.so.0" "$lib"
cat >"$work/park.c" <<'C'
#include <gomax.h>
#include <stdlib.h>
#include <unistd.h>

static uint32_t never;
static gmx_poll end;
static gmx_chan *c;

static void must(gmx_status s) {
  if (s != GMX_OK) abort();
}

__attribute__((__noinline__)) static void deeper(int n) {
  if (n > 0) deeper(n - 1);
  else must(gmx_sema_acquire(&never));
  __asm__ volatile("");
}
static void waits(void *arg) { deeper(arg == NULL ? 3 : 0); }
static void reads(void *arg) { must(gmx_read(end, arg, 1, GMX_FOREVER)); }
static void receives(void *arg) { must(gmx_chan_recv(c, arg)); }
static void never_runs(void *arg) { *(int *)arg = 1; }
__attribute__((__noinline__)) static void stop_here(void) {
  __asm__ volatile("");
  if (getenv("CRASH")) abort();
}
static void start(void *arg) {
  gmx_spawn_opts o = {.struct_size = sizeof o, .name = "waiter"};
  must(gmx_spawn_with(&o, waits, NULL, NULL));
  o.name = "a\nb\033[2J\xff\"";
  must(gmx_spawn_with(&o, receives, NULL, NULL));
  int ends[2];
  if (pipe(ends) != 0) abort();
  must(gmx_poll_open(ends[0], 0, &end));
  must(gmx_poll_set_deadline(end, GMX_POLL_OUT, gmx_now() + INT64_C(3600000000000)));
  o.name = "reader";
  must(gmx_spawn_with(&o, reads, arg, NULL));
  while (gmx_yield(), never == 0) {
    gmx_sched_stats s = {.struct_size = sizeof s};
    must(gmx_read_sched_stats(&s));
    if (s.g_waiting >= 3) break; /* all wait */
  }
  must(gmx_spawn(never_runs, arg));
  stop_here();
}
int main(void) {
  int n = 0;
  must(gmx_chan_new(0, 0, &c));
  must(gmx_main(start, &n));
  return 0;
}
C
"${CC:-cc}" -std=c11 -O0 -g -Wall -Wextra -Werror -Iinclude -o "$work/park" "$work/park.c" -pthread -L"$work" -lgomax
export LD_LIBRARY_PATH=$work GMX_MAXPROCS=1
gdb=(timeout 120 gdb --nx --batch -q -ex "set debuginfod enabled off" -ex "source packaging/gomax-gdb.py")
passed=0
! grep -nE 'write_memory|"set \$|set var' packaging/gomax-gdb.py || { echo "the script writes to the process"; exit 1; }

# said WORDS...: extended patterns that must stand in what gdb said, in this order
said() {
  local from=1 pattern at
  for pattern in "$@"; do
    at=$(tail -n "+$from" "$work/said" | grep -nEm1 -- "$pattern" | cut -d: -f1) || true
    if [[ -z $at ]]; then
      echo "gdb did not say, from line $from on: $pattern"
      sed 's/^/    | /' "$work/said"
      exit 1
    fi
    from=$((from + at))
  done
  passed=$((passed + 1))
}

"${gdb[@]}" -ex "break stop_here" -ex run -ex gmx-gs -ex gmx-ps -ex gmx-ms -ex gmx-fds -ex "gmx-bt all" -ex bt -ex continue "$work/park" \
  >"$work/said" 2>&1 </dev/null
said 'state +name +function' 'M[0-9]+ +running +main +start' 'goroutines'
said 'runnable +- +never_runs'
said 'chan receive [0-9]+ ms +a\\nb\\u\{1b\}\[2J\\xff\\" +receives' # a name forges nothing
said 'semacquire [0-9]+ ms +waiter +waits'
said 'IO wait: read [0-9]+ ms +reader +reads'
said 'handle +fd +kind' '^0x[0-9a-f]+ +[0-9]+ +pipe +watched +- +3[56][0-9]{5} ms +G[0-9]+$' '^1 descriptors'
said 'schedtick' 'P0 +running +M[0-9]+ '
said 'kind' "M[0-9]+ .*host's" 'goroutine'
said '^goroutine .* never_runs' 'has not run yet: never_runs'
said '^goroutine .* a.*receives' '^#.* gmx_chan_recv \(\)' 'receives \(arg=' '^$'
said '^goroutine .* waiter waits' 'deeper \(n=.*0' 'deeper \(n=.*1' 'deeper \(n=.*3' 'waits \(arg='
said '^#0 .*stop_here' 'start \(arg=' 'exited normally' # the registers are as they were

# The walk over a damaged list ends nevertheless. `write ADDRESS VALUE` puts a word there.
write() { printf 'python gdb.selected_inferior().write_memory(%s, struct.pack("<Q", %s))' "$1" "$2"; }
damaged() { "${gdb[@]}" -ex "break stop_here" -ex run -ex "python r = Runtime(); ms = list(r.ms()); ps = list(r.ps())" "$@" -ex kill \
  "$work/park" >"$work/said" 2>&1 </dev/null || true; }
damaged -ex "$(write 'ms[-1] + r.at["m_all_link"]' 'ms[0]')" -ex gmx-ms
said 'kind' '^M[0-9]+ .*worker' 'the list of Ms is damaged: it is circular'
damaged -ex 'python d = u64(u64(r.sched + r.at["allg"]))' -ex "$(write 'd + 8' 'u64(d)')" -ex gmx-gs -ex "gmx-bt all"
said 'running +main +start' 'the list of goroutines is damaged: it is circular' '^goroutine .* waiter waits'
damaged -ex 'python gdb.selected_inferior().write_memory(r.sched + r.at["gomaxprocs"], b"\xff" * 4)' \
  -ex 'python t = u64(u64(r.sched + r.at["allp"]) + r.at["allp_ps"])' -ex "$(write 't + 8' 'ps[0]')" -ex gmx-ps
said '^P0 ' 'the list of Ps is damaged: it is circular'

damaged -ex "$(write 'r.sched + r.at["fds"]' '0')" -ex gmx-fds
said '^0 descriptors'

if [[ $(cat /proc/sys/kernel/core_pattern) == core* ]]; then
  (cd "$work" && ulimit -c unlimited && CRASH=1 ./park) >/dev/null 2>&1 || true
  core=$(find "$work" -name 'core*' | head -n 1)
  if [[ -n $core ]]; then
    "${gdb[@]}" -ex gmx-gs -ex "gmx-bt all" "$work/park" "$core" >"$work/said" 2>&1 </dev/null
    said 'running +main +start' 'goroutines' '^goroutine .* waiter waits' 'deeper \(n=0' 'deeper \(n=3' 'waits \(arg='
  fi
fi
# A core that gdb writes holds the stacks if guards are mappings, as they always are on systems without lighter guards.
GMXDEBUG=guard=mprotect "${gdb[@]}" -ex "break stop_here" -ex run -ex "generate-core-file $work/by-gdb" -ex kill \
  "$work/park" >"$work/said" 2>&1 </dev/null
said 'Saved corefile'
"${gdb[@]}" -ex "gmx-bt all" "$work/park" "$work/by-gdb" >"$work/said" 2>&1 </dev/null
said '^goroutine .* waiter waits' 'deeper \(n=0' 'deeper \(n=3' 'waits \(arg='
# Many goroutines, each five calls deep in functions without frame pointers: gdb finds all of them, by their tables.
cat >"$work/deep.c" <<'C'
#include <gomax.h>
#include <stdlib.h>
#define DEEP __attribute__((__noinline__)) static

static gmx_chan *c;
static gmx_mutex mu;
static gmx_g ended;
static volatile int64_t sink;

DEEP int64_t fifth(int64_t n) {
  int64_t mine = n * 5;
  gmx_status s = n % 3 == 0   ? gmx_chan_recv(c, &mine)
                 : n % 3 == 1 ? gmx_mutex_lock(&mu)
                              : gmx_sleep(INT64_C(3600000000000));
  sink = mine;
  return mine + s;
}
DEEP int64_t fourth(int64_t n) {
  int64_t kept = n * 4;
  int64_t mine = fifth(n);
  sink = kept;
  return mine + kept;
}
DEEP int64_t third(int64_t n) { return fourth(n) + 3; }
DEEP int64_t second(int64_t n) { return third(n) + 2; }
DEEP void first(void *arg) { sink = second((int64_t)arg); }
DEEP void ends(void *arg) { sink = arg != NULL; }
DEEP void stop_here(void) {
  __asm__ volatile("");
  if (getenv("CRASH")) abort();
}
int main(void) {
  gmx_config cfg = {.struct_size = sizeof cfg, .flags = getenv("NODUMP") ? GMX_CONFIG_NO_STACK_DUMP : 0};
  gmx_spawn_opts o = {.struct_size = sizeof o, .flags = GMX_SPAWN_JOINABLE};
  gmx_sched_stats s = {.struct_size = sizeof s};
  if (gmx_init(&cfg) != GMX_OK || gmx_chan_new(sizeof(int64_t), 0, &c) != GMX_OK) return 1;
  if (gmx_mutex_lock(&mu) != GMX_OK || gmx_spawn_with(&o, ends, NULL, &ended) != GMX_OK) return 2;
  for (int64_t i = 0; i < 100; i++)
    if (gmx_spawn(first, (void *)i) != GMX_OK) return 3;
  do {
    if (gmx_sleep(1000000) != GMX_OK || gmx_read_sched_stats(&s) != GMX_OK) return 4;
  } while (s.g_waiting < 100);
  stop_here();
  return 0;
}
C
"${CC:-cc}" -std=c11 -O2 -fomit-frame-pointer -g -Wall -Wextra -Werror -Iinclude -o "$work/deep" "$work/deep.c" -pthread -L"$work" -lgomax
deep() { # in the order of calls, in each stack
  local f
  for f in first second third fourth fifth; do
    [[ $(grep -cE "^#[0-9]+ .*\b$f \(" "$work/said") == 100 ]] || { sed 's/^/    | /' "$work/said"; echo "not 100 of $f"; exit 1; }
  done
  ! grep -E 'gmx_arch_start|Python|Traceback' "$work/said" || exit 1
  said '^goroutine .* first' 'gmx_|<libgomax>' ' fifth \(' ' fourth \(' ' third \(' ' second \(' ' first \('
}
"${gdb[@]}" -ex "break stop_here" -ex run -ex "gmx-bt all" "$work/deep" >"$work/said" 2>&1 </dev/null
deep
said 'has ended: ends'
# A goroutine as the subject of gdb's own commands, until something runs. The thread stands in main at first.
one=(-ex "info goroutines" -ex "gmx-g 8" -ex bt -ex up -ex "info locals" -ex "up 2" -ex down -ex "info locals"
  -ex "frame function first" -ex "set gomax-frames on" -ex "bt 1" -ex gmx-g -ex "gmx-g 9 bt" -ex "set gomax-frames off" -ex gmx-g
  -ex "gmx-g -" -ex gmx-g -ex bt -ex "gmx-g 999" -ex "gmx-g 3 up" -ex "gmx-g 1" -ex "gmx-g all")
selects() {
  said '^[0-9]+ +- +sleep .* first' '^102 goroutines' '^goroutine 8 ' ' fifth \(' ' first \(' ' fifth \(' '^mine = ' ' third \(' \
    ' fourth \(' '^kept = ' ' first \(' '^#1 ' '^goroutine 8 ' '^#1 ' ' fifth \(' ' first \(' '^goroutine 8 ' \
    '^no goroutine is selected' '^#.* main \(\)' '^there is no goroutine 999' ' fifth \(' '^goroutine 1 ' '^gmx-g all COMMAND'
}
"${gdb[@]}" -ex "break stop_here" -ex run -ex finish "${one[@]}" -ex "gmx-g 10" -ex next -ex gmx-g "$work/deep" \
  >"$work/said" 2>&1 </dev/null || true
selects
said '^gmx-g all COMMAND' '^goroutine 10 ' '^no goroutine is selected'
if [[ $(cat /proc/sys/kernel/core_pattern) == core* ]]; then
  for dump in "" NODUMP=1; do
    (cd "$work" && rm -f core* && ulimit -c unlimited && env CRASH=1 $dump ./deep) >/dev/null 2>&1 || true
    core=$(find "$work" -name 'core*' | head -n 1)
    [[ -n $core ]] || continue
    "${gdb[@]}" -ex "gmx-bt all" "$work/deep" "$core" >"$work/said" 2>&1 </dev/null
    if [[ -z $dump ]]; then
      deep
      "${gdb[@]}" "${one[@]}" "$work/deep" "$core" >"$work/said" 2>&1 </dev/null || true
      selects
    else
      said '^goroutine .* first' 'the stack of goroutine [0-9]+ is not in this core'
      ! grep -E 'Python|Traceback' "$work/said" || exit 1
    fi
  done
fi
# Probes: each is in the notes of a stripped library, with two arguments that lie in fields of objects.
readelf -n "$work/libgomax.so.0" | awk '/Provider:/ { ours = $2 == "gomax" } ours && /Name:/ { name = $2 } ours && /Arguments:/ { $1 = ""; print name $0 }' \
  >"$work/probes"
at='([48]@[0-9]+\(%r[a-z0-9]+\)|[48]@\[x[0-9]+, [0-9]+\])'
for probe in go_create go_start go_park go_ready go_end proc_start proc_stop syscall_enter syscall_exit steal stop_begin stop_end; do
  grep -qE "^$probe $at $at$" "$work/probes" || { cat "$work/probes"; echo "no probe $probe with two arguments"; exit 1; }
done
! grep -vE "^[a-z_]+ $at $at$" "$work/probes" || { echo "arguments of another form"; exit 1; }
[[ $(cut -d' ' -f1 "$work/probes" | sort -u | wc -l) == 12 ]] || { echo "other probes than in docs/c.md"; exit 1; }
passed=$((passed + 1))
# gdb counts 101 goroutines, and reads the arguments.
"${gdb[@]}" -ex "break main" -ex run -ex "break -probe-stap gomax:go_create" -ex "ignore 2 1000000" -ex "break stop_here" -ex continue \
  -ex "info breakpoints 2" "$work/deep" >"$work/said" 2>&1 </dev/null || true
said 'hit Breakpoint 3' 'already hit 101 times'
"${gdb[@]}" -ex "break main" -ex run -ex "tbreak -probe-stap gomax:go_park" -ex continue -ex 'printf "goroutine %d: %s.\n", $_probe_arg0, (char *)$_probe_arg1' \
  -ex "tbreak -probe-stap gomax:go_start" -ex continue -ex 'print $_probe_argc' -ex 'printf "P%d\n", $_probe_arg1' \
  "$work/park" >"$work/said" 2>&1 </dev/null || true
said 'hit Temporary breakpoint' '^goroutine [0-9]+: [A-Za-z].*\.$' 'hit Temporary breakpoint' '^\$1 = 2' '^P[0-9]+'
# hogs: the signal that has their threads held passes through gdb without a stop
cat >"$work/hogs.c" <<'C'
#include <gomax.h>

static int over;
static void computes(void *arg) {
  while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE)) continue;
}
int main(void) {
  gmx_sched_stats s = {.struct_size = sizeof s};
  for (int i = 0; i < 3; i++)
    if (gmx_spawn(computes, &over) != GMX_OK) return 2;
  do {
    if (gmx_sleep(1000000) != GMX_OK || gmx_read_sched_stats(&s) != GMX_OK) return 3;
  } while (s.seized < 20);
  __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
  return gmx_shutdown(INT64_C(20000000000)) == GMX_OK ? 0 : 4;
}
C
"${CC:-cc}" -std=c11 -O1 -g -Wall -Wextra -Werror -Iinclude -o "$work/hogs" "$work/hogs.c" -pthread -L"$work" -lgomax
"${gdb[@]}" -ex run -ex 'echo the end of it\n' "$work/hogs" >"$work/said" 2>&1 </dev/null
said 'exited normally' 'the end of it'
! grep -E 'received signal|SIGURG' "$work/said" || { echo "gdb stopped"; exit 1; }
# a runtime that is not up has nothing to show
"${gdb[@]}" -ex gmx-gs "$work/park" >"$work/said" 2>&1 </dev/null || true
said 'libgomax is not in this process|does not run yet'
echo "$passed passed, 0 failed"
