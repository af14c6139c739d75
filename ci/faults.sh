#!/usr/bin/env bash
# Runs the C tests for MINUTES, and makes one system call fail in each run. The test, the system call and its number are
# drawn at random. The test may fail by one of its checks; it must not die, panic or hang.
#
#   ci/faults.sh [MINUTES [SEED]]           GMX_LIB: another libgomax.so than the release build's
set -uo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10} seed=${2:-$RANDOM}
lib=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
[[ -e $lib ]] || { echo "no $lib: make build"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$lib" "$work/libgomax.so"
ln -s "$lib" "$work/libgomax.so.0"
cc=(${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -g -pthread -Iinclude -Ictests)

"${cc[@]}" -w -shared -fPIC -x c -o "$work/faults.so" ctests/faults.h -ldl || exit 1
tests=()
for file in ctests/*.c; do
  name=$(basename "$file" .c)
  # five of these make calls fail themselves, three have a malloc of their own, one loads the library late
  [[ $name == faults || $name == chan_memory || $name == heap || $name == hog_faults || $name == hog_malloc || $name == hostile || $name == net_faults || $name == no_malloc || $name == dlopen ]] && continue
  flags=$(sed -n 's|^/\* flags: \(.*\) \*/$|\1|p' "$file")
  "${cc[@]}" -o "$work/$name" "$file" $flags -L"$work" -lgomax -Wl,-rpath,"$work" || exit 1
  tests+=("$name")
done

# one run: GMX_FAULT TEST
run() {
  (
    ulimit -c 0
    # shellcheck disable=SC2046
    export GMX_FAULT=$1 LD_PRELOAD=$work/faults.so $(sed -n 's|^/\* env: \(.*\) \*/$|\1|p' "ctests/$2.c")
    timeout -s KILL 120 "$work/$2" >"$work/out" 2>&1 </dev/null
  ) 2>/dev/null
}

declare -A calls
echo "seed $seed, ${#tests[@]} tests"
RANDOM=$seed
end=$((SECONDS + $(awk "BEGIN { print int($minutes * 60) }")))
runs=0 passed=0 said=0 bad=0
while ((SECONDS < end)); do
  test=${tests[RANDOM % ${#tests[@]}]}
  if [[ -z ${calls[$test]:-} ]]; then
    run count "$test"
    # several processes may have reported; the largest number counts
    calls[$test]=$(awk '/^GMX_FAULT / { if ($3 > n[$2]) n[$2] = $3 } END { for (k in n) if (n[k]) printf "%s:%d ", k, n[k] }' "$work/out" | tr ' ' '\n' | sort | tr '\n' ' ')
  fi
  read -ra kinds <<<"${calls[$test]}"
  ((${#kinds[@]})) || continue
  kind=${kinds[RANDOM % ${#kinds[@]}]}
  n=${kind#*:}
  # the first calls are those of the start of the runtime: they get a share of their own
  ((RANDOM % 2 && n > 8)) && n=8
  fault=${kind%:*}:$(((RANDOM * 32768 + RANDOM) % n + 1)):$((RANDOM % 4 ? 1 : 3))
  run "$fault" "$test"
  status=$?
  runs=$((runs + 1))
  if ((status > 1 && status != 77)) || grep -qE 'panicked at|libgomax: fatal error|in vain|child process hangs' "$work/out"; then
    bad=$((bad + 1))
    echo "BAD: GMX_FAULT=$fault $test: exit status $status"
    head -c 3000 "$work/out"
  elif ((status == 1)); then
    said=$((said + 1))
  else
    passed=$((passed + 1))
  fi
done
echo "$runs runs: $passed ended well, $said failed by a check, $bad bad"
((bad == 0))
