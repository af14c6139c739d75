#!/usr/bin/env bash
# Builds demo/resp and asks it: known requests and answers, many connections, channels, expiry. Where redis-server is
# installed: the same answers as Redis to thousands of random commands. Then the requests in a second, on one P and on
# two. Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CC,
# COMMANDS (5000), SEED, SECONDS_EACH (2; 0: no throughput).
. "$(dirname "$0")/../../ci/lib.sh"
set -e

lib=$(realpath -m "${GMX_LIB:-$target/release/libgomax.so}")
[[ -e $lib ]] || "${MAKE:-make}" --no-print-directory -s build
work=$(mktemp -d)
servers=()
end() {
  ((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT

mkdir "$work/lib"
ln -s "$lib" "$work/lib/libgomax.so"
ln -s "$lib" "$work/lib/libgomax.so.0"
for program in server client; do
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pedantic -Iinclude -o "$work/$program" \
    "demo/resp/$program.c" -pthread -L"$work/lib" -lgomax -Wl,-rpath,"$work/lib"
done

# From here on a failure is counted.
set +e

# begin NAME PS: a server at a free port, which $port is then
begin() {
  "$work/server" 0 "$2" >"$work/$1.port" 2>"$work/$1.err" &
  servers+=($!)
  until [[ -s $work/$1.port ]]; do
    kill -0 "${servers[-1]}" || { cat "$work/$1.err"; exit 1; }
    sleep 0.01
  done
  port=$(<"$work/$1.port")
}

client() { timeout -k 5 120 "$work/client" "$@"; }

ends() { # PID: a server that was told to
  for _ in {1..500}; do
    kill -0 "$1" 2>/dev/null || { wait "$1"; return; }
    sleep 0.01
  done
  return 1
}

for procs in 1 2 8; do
  begin "$procs" "$procs"
  for mode in answers counts channels expires; do check "$mode, $procs Ps" client "$port" "$mode"; done
  client "$port" stop
  check "stops, $procs Ps" ends "${servers[-1]}"
  unset 'servers[-1]'
done

if command -v redis-server >/dev/null; then
  redis=$((20000 + RANDOM % 10000))
  redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.out" 2>&1 &
  servers+=($!)
  until redis-cli -p "$redis" ping 2>/dev/null | grep -q PONG; do
    kill -0 "${servers[-1]}" || { cat "$work/redis.out"; exit 1; }
    sleep 0.05
  done
  begin oracle 2
  seed=${SEED:-$RANDOM}
  check "the answers of Redis, SEED=$seed" client "$port" compare "$redis" "${COMMANDS:-5000}" "$seed"
  command -v redis-benchmark >/dev/null && check "redis-benchmark runs" \
    timeout -k 5 120 redis-benchmark -p "$port" -q -n 20000 -t ping,set,get,incr -P 4
else
  echo "no redis-server: no comparison"
fi

if ((${SECONDS_EACH:-2} > 0)); then
  begin one 1
  one=$port
  begin two 2
  two=$port
  printf '%-28s' 'requests in a second'
  [[ -z ${redis:-} ]] || printf ' %10s' redis
  printf ' %10s %10s\n' '1 P' '2 Ps'
  for pipeline in 1 16; do
    for request in PING 'SET key value' 'GET key'; do
      printf '%-28s' "$request, 50 clients, -P $pipeline"
      # shellcheck disable=SC2086
      for at in ${redis:-} "$one" "$two"; do printf ' %10s' "$(client "$at" bench 50 $pipeline "${SECONDS_EACH:-2}" $request)"; done
      echo
    done
  done
fi

# The end of the suite waits for what runs in the background.
((${#servers[@]} == 0)) || kill "${servers[@]}"
servers=()
summary
