#!/usr/bin/env bash
# Checks the documents against the sources. It builds fences marked ```c run, ```cpp run and ```python run and runs them
# against the release library. These, the other fences in C and C++, and the examples in gomax.h must compile without a
# warning in each standard. Names of the interface must be in the source, files and links must exist, and functions and
# numbers that a page mentions must stand in the files that it names. The code in the columns "here" of
# docs/coming-from.md must be in a header. Ends with `N passed, N failed`.
# As many programs are built and run at a time as there are CPUs. `ci/readme.sh DOCUMENT...` checks these documents
# only.
# Environment: GMX_LIB another libgomax.so than target/release's, CC, CXX, PYTHON.
source "$(dirname "$0")/lib.sh"
use_library
documents=("$@")
(($#)) || documents=(README.md HACKING.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md)
root=$PWD
flags=(-Wall -Wextra -Werror -O2 -pthread -Iinclude -L"$work/lib" -lgomax)

openmp=() # for programs that use it; without it they run on one thread
! echo 'int main(void) { return 0; }' | "${CC:-cc}" -fopenmp -x c -o "$work/openmp" - 2>/dev/null || openmp=(-fopenmp)

run() {
  local also=() with=()
  ! grep -q '^#pragma omp' "$1" || also=("${openmp[@]}")
  [[ $1 != */start/* ]] || with=(ci/start.py)
  case $1 in
  *.c) "${CC:-cc}" -std=c11 -D_GNU_SOURCE "${also[@]}" -o "$1.exe" "$1" "${flags[@]}" && timeout 60 "${with[@]}" "$1.exe" ;;
  *.cpp) "${CXX:-c++}" -std=c++17 -o "$1.exe" "$1" "${flags[@]}" && timeout 60 "${with[@]}" "$1.exe" ;;
  *.python) timeout 60 "${PYTHON:-python3}" "$1" ;;
  *) false ;;
  esac
}

examples() { # DIR: writes the examples in gomax.h there, each as a file named after its function
  mkdir "$1" && awk -v to="$1/" '
    /^\/\*\*/ { example = "" }
    /^ \*     / { example = example substr($0, 8) "\n" }
    /^(GMX_MUST_USE )?GMX_API / && example != "" {
      match($0, /gmx_[a-z0-9_]+\(/)
      name = substr($0, RSTART, RLENGTH - 1)
      out = to name ".c"
      print "#define EXAMPLE_" name "\n#include \"examples.h\"" > out
      n = split(example, part, /\.\.\.\n/) # each is a definition, or stands in a function
      for (i = 1; i <= n; i++) {
        if (part[i] ~ /^(static|struct) .*\n}\n$/) printf "%s", part[i] > out
        else {
          nothing = part[i] ~ /return;/
          head = (nothing ? "void" : "gmx_status") " part" i "(void)"
          print head ";\n" head " {\n" part[i] (nothing ? "" : "return GMX_OK;\n") "}" > out
        }
      }
      close(out)
      example = ""
    }' include/gomax.h
  [[ $(ls "$1" | wc -l) -ge 15 ]] || { echo "few examples in gomax.h: has its form changed?"; return 1; }
}

knows() { "$1" "-std=$2" -fsyntax-only -x "$3" /dev/null 2>/dev/null; } # COMPILER STANDARD LANGUAGE

strict() { # COMPILER STANDARD FILE...: without a warning
  local how=-fsyntax-only
  # (GCC warns of an ignored result that is not [[nodiscard]] only when it generates code)
  [[ $1 == clang* || $2 == c++17 || $2 == c++2? ]] || how=-S
  (cd "$work" && "$1" "-std=$2" $how -Wall -Wextra -Wconversion -Wunused-result -Werror -pthread -D_GNU_SOURCE "${precompiled[@]}" \
    "-I$root/include" "-I$root/ci" "${@:3}")
}
strict_cpp() { # COMPILER STANDARD
  [[ ! ${older[*]} ]] || strict "$1" "$2" "${older[@]}" || return 1
  [[ $2 != c++1[14] && ${cpp[*]} ]] || return 0
  precompile "$work/compiled" "$1" "-std=$2" -pthread -D_GNU_SOURCE && strict "$1" "$2" "${cpp[@]}"
}

word='\b(gmx|GMX)_[A-Za-z0-9_]*[A-Za-z0-9]\b'
grep -rohE "$word" include src tests ctests ci benches demo polls posix Makefile --exclude=readme.sh | sort -u >"$work/known"

names() { # each one must stand in the source as a word
  local name bad=0
  for name in $(grep -ohE "$word" "$1" | sort -u | comm -23 - "$work/known"); do
    echo "$name"
    bad=1
  done
  for name in $(grep -ohE '\bgomax::[a-z_]+' "$1" | sort -u); do # in CMake's sense too
    grep -qw -- "${name#gomax::}" include/*.hpp packaging/gomaxConfig.cmake.in || { echo "$name"; bad=1; }
  done
  return $bad
}

headings() { grep -E '^#+ ' "$1" | sed -E 's/^#+ //; s/[^A-Za-z0-9 _-]//g; s/ /-/g' | tr A-Z a-z | awk '{ print (n[$0]++ ? $0 "-" n[$0] - 1 : $0) }'; }

links() { # to files, and to headings of documents
  local to file bad=0
  for to in $(awk '/^```/ { code = !code } !code' "$1" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//; /^http/d'); do
    file=$1
    [[ $to == \#* ]] || file=$(dirname "$1")/${to%%#*}
    [[ -e $file ]] && { [[ $to != *\#* ]] || headings "$file" | grep -qx -- "${to#*\#}"; } || { echo "$to"; bad=1; }
  done
  return $bad
}

paths() { # of files in the tree that a document names
  local path bad=0
  for path in $(grep -ohE '\b(src/[a-z0-9_/]+\.rs|(tests|ctests|ci|benches|examples|demo|packaging|polls|posix|include|bindings|docs)/[A-Za-z0-9_./-]*\.[a-z]+)\b' "$1" | sort -u); do
    [[ -e $path || -e $(dirname "$1")/$path ]] || { echo "$path"; bad=1; }
  done
  return $bad
}

places() { # `FILE`: `name`, `name`: the file defines each name; and the document has at least N such lines
  awk -v RS='' '/`src\// { gsub(/\n */, " "); print }' "$1" |
    grep -oE '`src/[a-z0-9_/]+\.rs`: (`[A-Za-z0-9_]+`(, )?)+' | tr -d '`:,' >"$work/places"
  local file names name bad=0
  while read -r file names; do
    for name in $names; do
      grep -qsE "\b(fn|struct|enum|const|static|type|trait) $name\b|macro_rules! $name\b" "$file" || { echo "$file: $name"; bad=1; }
    done
  done <"$work/places"
  [[ $(wc -l <"$work/places") -ge $2 ]] && ((bad == 0))
}

constants() { # FILE | NAME = VALUE in a table: the file says so
  local file name value bad=0 n=0
  while IFS='|' read -r file name value; do
    n=$((n + 1))
    grep -E "\bconst $name: " "$file" | grep -qE "(= |else \{ )$value( \})?;" || { echo "$file: $name = $value"; bad=1; }
  done < <(sed -nE 's/^\| `([A-Z_0-9]+) = ([^`]+)` \| `(src[^`]+)` \|.*/\3|\1|\2/p' "$1")
  ((n >= $2 && bad == 0))
}

cited() { # the page names each file of src that points to it
  local file bad=0
  for file in $(grep -rl --include='*.rs' "$1" src); do
    grep -qF "\`$file\`" "$1" || { echo "$file"; bad=1; }
  done
  return $bad
}

words() { # the Rust code of a document calls only names that FILE has
  local name bad=0 n=0
  for name in $(awk '/^```/ { code = $1 == "```rust" } code' "$1" | sed 's@//.*@@' | grep -oE '\b[a-z_]+\(' | sed 's/(//; /^cfg$/d' | sort -u); do
    n=$((n + 1))
    grep -qE "\bfn $name\b" "${@:2}" || { echo "$name"; bad=1; }
  done
  ((n >= 10 && bad == 0))
}

here() { # FILE N: the code in its columns "here", N names at least, is in a header
  local name bad=0 n=0
  for name in $(sed 's/\\|//g' "$1" | awk -F '|' '
    !/^\|/ { at = 0; next }
    !at { for (i = 2; i < NF; i++) if ($i == " here ") at = i; next }
    { print $at }' | grep -oE '`[a-z][^`]*`' | grep -oE '[A-Za-z_0-9]{2,}' | sort -u); do
    n=$((n + 1))
    grep -qw -- "$name" include/*.h include/*.hpp || { echo "$name"; bad=1; }
  done
  ((n >= $2 && bad == 0))
}

every() { # function of gomax.h stands in FILE
  local functions
  functions=$(grep -oE '^(GMX_MUST_USE )?GMX_API [^;(]*\(' include/gomax.h | grep -oE 'gmx_[a-z0-9_]+\(' | tr -d '(' | sort -u)
  [[ $(wc -l <<<"$functions") -gt 200 ]] && ! comm -23 <(echo "$functions") <(grep -oE '\bgmx_[a-z0-9_]+' "$1" | sort -u) | grep .
}

ranks() { # the table of lock ranks is that of src/sync/rank.rs
  diff <(sed -nE 's/^    ([A-Z][A-Za-z]*) = ([0-9]+),$/\2 \1/p' src/sync/rank.rs) \
    <(sed -nE 's/^\| ([0-9]+) \| `([A-Za-z]+)` \|.*/\1 \2/p' HACKING.md)
}

for document in "${documents[@]}"; do
  check "$document: names" names "$document"
  check "$document: links" links "$document"
  check "$document: paths" paths "$document"
  page=$(basename "$document" .md)
  [[ $page != zig && $page != nim && $page != inside ]] || continue # ci/zig.sh, ci/nim.sh and ci/inside.sh run these
  programs "$document" "$work/$page"
  for program in "$work/$page"/[0-9]*.*; do # those of start.md in Zig and Nim are run there as well
    [[ ! -e $program || $program == *.zig || $program == *.nim ]] || start "$document: ${program##*/}" run "$program"
  done
done
if ((!$#)); then
  check "HACKING.md: lock ranks" ranks
  check "docs/coming-from.md: what takes the place of what" here docs/coming-from.md 100
  check "docs/functions.md: every function" every docs/functions.md
  check "docs/tour.md: functions" places docs/tour.md 50
  check "docs/measurements.md: constants" constants docs/measurements.md 40
  check "docs/measurements.md: where it is cited" cited docs/measurements.md
  check "docs/tour.md: words of the model" words docs/tour.md src/models/*.rs
  check "gomax.h: examples" examples "$work/examples"
fi

precompiled=()
shopt -s nullglob # a document may have programs in one language only
c=("$work"/*/*.c) older=() cpp=()
for program in "$work"/*/*.cpp; do
  if grep -qE '<gomax(_net|_os)?\.hpp>' "$program"; then cpp+=("$program"); else older+=("$program"); fi
done
for compiler in gcc clang; do
  for standard in c99 c11 c17 c2x; do
    [[ ! ${c[*]} ]] || ! knows $compiler $standard c ||
      start "documents: $compiler -std=$standard" strict $compiler $standard -Wno-unused-variable -Wno-unused-but-set-variable "${c[@]}"
  done
done
for compiler in g++ clang++; do
  for standard in c++11 c++14 c++17 c++20 c++2b; do
    ! knows $compiler $standard c++ || start "documents: $compiler -std=$standard" strict_cpp $compiler $standard
  done
done

summary
