#!/usr/bin/env bash
# The C++ binding: gomax.hpp alone and twice, the tests and the examples of bindings/cpp, by each compiler that is there,
# without a warning; run against the release library. As C++17 by the first compiler and C++20 by the second, and the header
# alone as both by both; ALL=1 does everything by all. Ends with `N passed, N failed`.
# Environment: GMX_LIB another libgomax.so than target/release's, GMX_CXX the compilers instead of g++ and clang++.
# `ci/cpp.sh NAME...` runs some of the tests.
source "$(dirname "$0")/lib.sh"
use_library
warnings=(-Wall -Wextra -Werror -pedantic -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast -Wnon-virtual-dtor)
# check.h is C, and casts as C does
tests=("${warnings[@]/-Wold-style-cast/-Wno-old-style-cast}")
link=(-L"$work/lib" -lgomax)

# the header by itself, in two files of one program, with the warnings of users who have many; what gcc says depends on what
# it inlines
alone() {
  local cxx=$1 std=$2 level
  printf '#include <gomax.hpp>\n#include <gomax.hpp>\nint other();\nint other() { return gomax::procs(); }\n' >"$work/other.cpp"
  for level in -O1 $([[ $cxx == g++* ]] && echo -O2); do
    "$cxx" -std="$std" "$level" "${warnings[@]}" -Iinclude -pthread -o "$work/alone" bindings/cpp/tests/alone.cpp \
      "$work/other.cpp" "${link[@]}" || return 1
  done
  timeout 60 "$work/alone"
}

run() { # CXX STD SOURCE [ARGUMENT...]
  local exe=$work/test
  "$1" -std="$2" -D_GNU_SOURCE -O1 -g "${tests[@]}" -Iinclude -Ictests -pthread -o "$exe" "$3" "${link[@]}" && timeout 120 "$exe" "${@:4}"
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

(($#)) || check "gomax.hpp has all of gomax.h" wrapped bindings/cpp/tests/left_out.txt include/gomax.hpp
full=(c++17 c++20) # which one is built in full by the next compiler
compilers=0
for cxx in ${GMX_CXX:-g++ clang++}; do
  command -v "$cxx" >/dev/null || { echo "there is no $cxx"; continue; }
  compilers=$((compilers + 1))
  for std in c++17 c++20; do
    (($#)) || check "gomax.hpp alone, $cxx $std" alone "$cxx" "$std"
    [[ ${ALL:-} == 1 || $std == "${full[0]}" ]] || continue
    for test in bindings/cpp/tests/*.cpp; do
      name=$(basename "$test" .cpp)
      [[ $name != alone ]] && { (($# == 0)) || [[ " $* " == *" $name "* ]]; } || continue
      check "$name, $cxx $std" run "$cxx" "$std" "$test"
    done
    (($#)) || check "example, $cxx $std" examples "$cxx" "$std"
  done
  full=("${full[1]}" "${full[0]}")
done
((compilers)) || { echo "there is no C++ compiler"; exit 77; }
summary
