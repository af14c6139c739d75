#!/usr/bin/env bash
# Tests the C++ binding: the headers alone and included twice, the tests and the examples of bindings/cpp. Each
# installed compiler builds them without a warning, and they run against the release library.
# The first compiler builds them as C++17, the second as C++20; both build the header alone as both. Compilers that have
# C++23 also build the tests of its features. ALL=1 builds everything with every compiler, and as C++23.
# The programs that make allocations fail and elements throw (failing, model) run under AddressSanitizer, LeakSanitizer
# and UBSan, and with libc++ where it is installed; so do net and os, after they have run without.
# As many tests are built and run at a time as there are CPUs.
# Ends with `N passed, N failed`. `ci/cpp.sh NAME...` runs some of the tests.
# Environment: GMX_LIB another libgomax.so than target/release's; GMX_CXX the compilers instead of g++ and clang++;
# GMX_STRESS minutes for failing and for model, all their builds together.
source "$(dirname "$0")/lib.sh"
use_library
warnings=(-Wall -Wextra -Werror -pedantic -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast -Wnon-virtual-dtor)
# check.h is C, and casts as C does
tests=("${warnings[@]/-Wold-style-cast/-Wno-old-style-cast}")
link=(-L"$work/lib" -lgomax)

# the header by itself, in two files of one program, with the many warnings that some users turn on; the warnings of gcc
# depend on what it inlines
alone() {
  local cxx=$1 std=$2 level
  printf '#include <gomax_os.hpp>\n#include <gomax_net.hpp>\n#include <gomax_os.hpp>\nint other();\nint other() { return gomax::procs(); }\n' >"$work/other.cpp"
  for level in -O1 $([[ $cxx == g++* ]] && echo -O2); do
    "$cxx" -std="$std" "$level" "${warnings[@]}" -Iinclude -pthread -o "$work/alone" bindings/cpp/tests/alone.cpp \
      "$work/other.cpp" "${link[@]}" || return 1
  done
  timeout 60 "$work/alone"
}

run() { # CXX STD SOURCE [ARGUMENT...]
  local exe=$work/test
  "$1" -std="$2" -D_GNU_SOURCE -O1 -g1 "${tests[@]}" -Iinclude -Ictests -pthread -o "$exe" "$3" "${link[@]}" && timeout 120 "$exe" "${@:4}"
}

# programs that must not compile, each refused for the reason that stands beside it
refused() { # CXX STD
  local name why compile n=0
  precompile "$work/compiled" "$1" -std="$2" || return 1
  compile=("$1" -std="$2" -fsyntax-only "${precompiled[@]}" -Iinclude bindings/cpp/tests/refused.cpp)
  "${compile[@]}" || return 1
  while read -r name why; do
    n=$((n + 1))
    ! "${compile[@]}" -D"$name" >"$work/refusal" 2>&1 || { echo "$name compiles"; return 1; }
    grep -qE "$why" "$work/refusal" || { echo "$name: not for \"$why\":"; cat "$work/refusal"; return 1; }
  done < <(sed -nE 's@^#(el)?if defined\(([A-Z_]+)\)  // (.*)@\2 \3@p' bindings/cpp/tests/refused.cpp)
  ((n >= 10)) || { echo "refused.cpp has only $n"; return 1; }
  ! "$1" -std="$2" -fsyntax-only -fno-exceptions -Iinclude -include include/gomax.hpp -x c++ /dev/null >"$work/refusal" 2>&1 || return 1
  grep -q "reports errors by exceptions" "$work/refusal"
}

# The checks of the sanitizers on stacks are off: the release library does not announce its switches to them.
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
sanitized() { # CXX STD NAME [FLAG...]
  local exe=$work/sanitized stacks=(--param asan-stack=0) seconds=()
  [[ $1 != clang* ]] || stacks=(-mllvm -asan-stack=0)
  ((${GMX_STRESS:-0} == 0)) || seconds=($((GMX_STRESS * 60 / 9 + 1)))
  "$1" -std="$2" "${@:4}" -D_GNU_SOURCE -O1 -g1 "${sanitize[@]}" "${stacks[@]}" "${tests[@]}" -Iinclude -Ictests -pthread -o "$exe" \
    bindings/cpp/tests/"$3".cpp "${link[@]}" && timeout $((300 + ${seconds[0]:-0})) "$exe" "${seconds[@]}"
}
# whether programs with these flags are built here, and run
works() { # CXX FLAG...
  printf '#include <vector>\nint main() { return int(std::vector<int>(1)[0]); }\n' >"$work/works.cpp"
  "$1" "${@:2}" -o "$work/works" "$work/works.cpp" 2>/dev/null && "$work/works" 2>/dev/null
}

examples() { # CXX STD
  local exe=$work/search want got
  "$1" -std="$2" -O2 "${warnings[@]}" -Iinclude -pthread -o "$exe" bindings/cpp/examples/search.cpp "${link[@]}" || return 1
  want=$(grep -rc 'gomax' include docs | awk -F: '{ n += $2 } END { print n }')
  got=$(timeout 60 "$exe" gomax include docs | wc -l)
  [[ $got == "$want" ]] || { echo "search found $got lines, grep $want"; return 1; }
  got=$(timeout 60 "$exe" --first 3 gomax include docs | wc -l) && [[ $got == 3 ]] || { echo "the first 3 were $got"; return 1; }
  ! timeout 60 "$exe" gomax /nowhere/at/all 2>"$work/error" || { echo "no error for a place that is not there"; return 1; }
  grep -q nowhere "$work/error"
}

# the scenarios of docs/meaning.md, each counted
meanings=() # that are built
meaning() { # CXX STD
  local program=${1##*/}-$2
  meanings+=("$program")
  start "meaning builds, $1 $2" "$1" -std="$2" -O1 -g1 "${warnings[@]}" -Iinclude -pthread -o "$work/$program" bindings/cpp/tests/meaning.cpp "${link[@]}"
}

(($#)) || check "the headers have all of gomax.h" wrapped bindings/cpp/tests/left_out.txt include/*.hpp
full=(c++17 c++20) # the standard that the next compiler builds in full
standards=(c++17 c++20)
[[ ${ALL:-} != 1 ]] || standards+=(c++2b)
wanted=" $* "
compilers=0
for cxx in ${GMX_CXX:-g++ clang++}; do
  command -v "$cxx" >/dev/null || { echo "there is no $cxx"; continue; }
  compilers=$((compilers + 1))
  stdlib=()
  if [[ $cxx == clang* ]]; then
    if works "$cxx" -stdlib=libc++; then stdlib=(-stdlib=libc++); else echo "there is no libc++: apt-get install libc++-dev libc++abi-dev"; fi
  fi
  for std in "${standards[@]}"; do
    (($#)) || start "headers alone, $cxx $std" alone "$cxx" "$std"
    [[ ${ALL:-} == 1 || $std == "${full[0]}" ]] || continue
    (($#)) || start "refused, $cxx $std" refused "$cxx" "$std"
    for test in bindings/cpp/tests/*.cpp; do
      name=$(basename "$test" .cpp)
      [[ $wanted == "  " || $wanted == *" $name "* ]] || continue
      case $name in
        alone | meaning | refused) ;;
        failing | model)
          works "$cxx" "${sanitize[@]}" || { echo "$cxx has no sanitizers here: $name is left out"; continue; }
          start "$name, sanitized, $cxx $std ${stdlib[*]}" sanitized "$cxx" "$std" "$name" "${stdlib[@]}"
          [[ ${ALL:-} != 1 || ${#stdlib[@]} == 0 ]] || start "$name, sanitized, $cxx $std" sanitized "$cxx" "$std" "$name"
          ;;
        *)
          start "$name, $cxx $std" run "$cxx" "$std" "$test"
          [[ $name != net && $name != os ]] || ! works "$cxx" "${sanitize[@]}" ||
            start "$name, sanitized, $cxx $std ${stdlib[*]}" sanitized "$cxx" "$std" "$name" "${stdlib[@]}"
          ;;
      esac
    done
    (($#)) || start "example, $cxx $std" examples "$cxx" "$std"
    (($#)) || meaning "$cxx" "$std"
  done
  # std::expected, std::stop_token and coroutines together
  if [[ $# == 0 && ${ALL:-} != 1 && $cxx == g++* ]]; then
    for name in channels bridges; do start "$name, $cxx c++2b" run "$cxx" c++2b bindings/cpp/tests/"$name".cpp; done
  fi
  full=("${full[1]}" "${full[0]}")
done
settle
for program in "${meanings[@]}"; do start_counted "meaning, $program" ci/meaning.py C++ "$work/$program"; done
((compilers)) || { echo "there is no C++ compiler"; exit 77; }
summary
