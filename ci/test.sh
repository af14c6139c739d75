#!/usr/bin/env bash
# Runs all suites, or the named ones (ci/test.sh c-debug python), and ends with a table of their counts; what failed is
# said once more below it, where a reader of the last lines finds it.
# GMX_NO_SKIP=1 makes each skipped test a failure. The table has the CPU time beside the time: a suite with much less of
# it than two processors give has waited.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo} python=${PYTHON:-python3} make=${MAKE:-make}
target=${CARGO_TARGET_DIR:-target}
release_lib=$(realpath -m "$target")/release/libgomax.so
limit=${GMX_SUITE_LIMIT:-900} # seconds; a suite that hangs fails instead of hanging everything
jobs=${GMX_JOBS:-3} # C programs at a time: many of them wait most of the time
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
wanted=("$@")
rows=() broken=()
passed=0 failed=0 skipped=0

# cpu: the hundredths of a CPU second that ended children have used
cpu() { awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$$/stat"; }

# suite NAME COMMAND...: takes the counts that the suite prints, `N passed, N failed[, N skipped]` as our programs print
# it, or cargo's `test result:` lines. A suite that prints neither counts as one test, by its exit status (77: skipped).
suite() {
  local name=$1 log=$logs/$1 begin=$SECONDS cpu=$(cpu) status counted p f s
  shift
  if ((${#wanted[@]})) && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
  printf '\n== %s: %s\n' "$name" "$*"
  timeout -k 10 "$limit" "$@" 2>&1 </dev/null | tee "$log"
  status=${PIPESTATUS[0]}
  ((status != 124)) || echo "$name: still running after $limit s"
  read -r counted p f s < <(awk '
    /^test result: / { n++; for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1)
                       if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) s += $(i-1) } }
    /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { n++; p += $1; f += $3; s += $5 }
    END { print n + 0, p + 0, f + 0, s + 0 }' "$log")
  if ((status == 77 && f == 0)); then
    if [[ ${GMX_NO_SKIP:-} == 1 ]]; then
      echo "$name: skipped, and GMX_NO_SKIP=1"
      f=1
    else
      s=$((s + 1))
    fi
  elif ((status != 0 && f == 0)); then
    f=1
  elif ((counted == 0)); then
    p=1
  fi
  ((f == 0)) || broken+=("$name")
  rows+=("$(printf '%-10s %7d %7d %8d %8d %8d' "$name" "$p" "$f" "$s" \
    $((SECONDS - begin)) $((($(cpu) - cpu) / 100)))")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# if_there PROBE COMMAND...: skips the command if the probe fails, since the tool is missing
if_there() {
  if ! $1 >/dev/null 2>&1; then
    echo "there is no: $1"
    return 77
  fi
  "${@:2}"
}
export -f if_there

# everything except the C tests, which are a suite of their own
rust=(--lib)
for file in tests/*.rs; do
  name=$(basename "$file" .rs)
  [[ $name == ctests ]] || rust+=(--test "$name")
done

suite fmt bash -c 'if_there "$0 fmt --version" "$0" fmt --check' "$cargo"
suite clippy bash -c 'if_there "$0 clippy --version" "$0" clippy --quiet --all-targets -- -D warnings' "$cargo"
# only whether the models build, so that a rename does not break them unseen: ci/models.sh runs them
for checker in loom shuttle; do
  suite "$checker" env RUSTFLAGS="--cfg $checker -D warnings" CARGO_TARGET_DIR="$target/check-$checker" \
    "$cargo" check --quiet --lib --profile test
done
suite rust "$cargo" test --quiet --no-fail-fast "${rust[@]}"
suite deny ci/deny.sh
suite doctest "$cargo" test --quiet --doc
suite rustdoc env RUSTDOCFLAGS="-D warnings" "$cargo" doc --quiet --no-deps --document-private-items
suite c-debug env GMX_JOBS="$jobs" "$cargo" test --quiet --test ctests
suite build "$make" --no-print-directory -s build
suite c-release env GMX_JOBS="$jobs" GMX_LIB="$release_lib" "$cargo" test --quiet --test ctests
suite hosts env GMX_JOBS="$jobs" GMX_LIB="$release_lib" ci/hosts.sh
suite asan env GMX_LIB="$release_lib" ci/asan.sh
suite growth env GMX_LIB="$release_lib" ci/growth.py
suite install ci/install.sh
suite dist env PYTHON="$python" ci/dist.sh
suite packages env GMX_LIB="$release_lib" PYTHON="$python" MAKE="$make" ci/packages.sh
suite abi env GMX_LIB="$release_lib" ci/abi.sh
suite gdb env GMX_LIB="$release_lib" ci/gdb.sh
suite cpp env GMX_LIB="$release_lib" ci/cpp.sh
suite readme env GMX_LIB="$release_lib" ci/readme.sh
suite python env GMX_LIB="$release_lib" PYTHON="$python" ci/python.sh
suite zig env GMX_LIB="$release_lib" GMX_ZIG_MODES=debug ci/zig.sh
suite nim env GMX_LIB="$release_lib" ci/nim.sh
suite manual env GMX_LIB="$release_lib" ci/manual.sh
suite site env PYTHON="$python" ci/site.sh
suite parsers env GMX_LIB="$release_lib" ci/parsers.sh
suite runtimes env GMX_LIB="$release_lib" ci/runtimes.sh
suite libraries env GMX_LIB="$release_lib" ci/libraries.sh
suite polls env GMX_LIB="$release_lib" ci/polls.sh
suite posix env GMX_LIB="$release_lib" ci/posix.sh
suite inside env GMX_LIB="$release_lib" PYTHON="$python" ci/inside.sh
suite page env GMX_LIB="$release_lib" PYTHON="$python" ci/page.sh
suite aarch64 ci/aarch64.sh
suite demo demo/check.sh
suite resp env SECONDS_EACH=0 demo/resp/check.sh
suite httpd examples/httpd/check.sh

# recap NAME: what the suite said about its failures; its last lines where none looks like one
recap() {
  printf '\n== what failed in %s\n' "$1"
  awk '
    /FAILED|FAIL:|^error|panicked at|^ERROR:|skipped, and/ { left = 15 }
    left > 0 { left--; if (++n <= 60) print substr($0, 1, 300) }
    { last[NR % 15] = substr($0, 1, 300) }
    END { if (!n) for (i = NR - 14; i <= NR; i++) if (i > 0) print last[i % 15] }' "$logs/$1"
}

printf '\n%-10s %7s %7s %8s %8s %8s\n' suite passed failed skipped seconds cpu
printf '%s\n' "${rows[@]}"
for name in ${broken[@]+"${broken[@]}"}; do recap "$name"; done
printf '\n%d passed, %d failed' "$passed" "$failed"
((skipped == 0)) || printf ', %d skipped' "$skipped"
printf '\n'
((failed == 0)) && [[ ${GMX_NO_SKIP:-} != 1 || $skipped == 0 ]]
