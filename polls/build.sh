#!/bin/sh
# polls/build.sh DIR: builds the plugin of each GCC (12 or later) and Clang (14 or later) on the PATH whose headers are
# there: DIR/gcc-12/gmxpoll_gcc.so, DIR/clang-14/GmxPoll.so and so on. Says for the others which headers are missing.
# Fails if none was built. COMPILERS="gcc-12 clang" are only these; CXX builds the plugins (GCC's own g++ for its own).
set -u
here=$(dirname "$0") out=$1 built=0 seen=' '
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml" | head -n 1)
flags="-std=c++17 -O2 -fPIC -shared -fno-rtti -Wall -Wextra"

major() { "$@" -dumpversion 2>/dev/null | sed 's/\..*//'; }

# compile NAME COMMAND...: the output last
compile() {
  name=$1
  shift
  mkdir -p "$out/$name" || exit 1
  if "$@"; then
    echo "$name: built"
    built=$((built + 1))
  else
    echo "$name: the plugin does not compile" >&2
    exit 1
  fi
}

gcc_plugin() { # COMPILER MAJOR
  headers=$("$1" -print-file-name=plugin)/include
  if [ ! -e "$headers/gcc-plugin.h" ]; then
    echo "gcc-$2: no headers of plugins (Debian's gcc-$2-plugin-dev)"
    return
  fi
  cxx=$(dirname "$(command -v "$1")")/$(basename "$1" | sed 's/gcc/g++/')
  [ -x "$cxx" ] || cxx=${CXX:-c++}
  # shellcheck disable=SC2086
  compile "gcc-$2" "$cxx" $flags -isystem "$headers" "$here/gmxpoll_gcc.cc" -o "$out/gcc-$2/gmxpoll_gcc.so"
}

clang_plugin() { # MAJOR
  for config in "llvm-config-$1" llvm-config; do
    case $("$config" --version 2>/dev/null) in "$1".*) ;; *) continue ;; esac
    headers=$("$config" --includedir)
    [ -e "$headers/llvm/Passes/PassPlugin.h" ] || continue
    # shellcheck disable=SC2086
    compile "clang-$1" "${CXX:-c++}" $flags -Wno-unused-parameter -isystem "$headers" "-DGMX_VERSION=\"$version\"" \
      "$here/GmxPoll.cpp" -o "$out/clang-$1/GmxPoll.so"
    return
  done
  echo "clang-$1: no headers of LLVM (Debian's llvm-$1-dev)"
}

if [ -z "${COMPILERS:-}" ]; then
  COMPILERS="gcc clang"
  for n in 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do COMPILERS="$COMPILERS gcc-$n clang-$n"; done
fi
for compiler in $COMPILERS; do
  command -v "$compiler" >/dev/null || continue
  case $(basename "$compiler") in clang*) kind=clang least=14 ;; *) kind=gcc least=12 ;; esac
  number=$(major "$compiler")
  case $seen in *" $kind-$number "*) continue ;; esac
  seen="$seen$kind-$number "
  if [ "${number:-0}" -lt "$least" ]; then
    echo "$kind-$number: too old, $kind $least is the first"
  elif [ "$kind" = clang ]; then
    clang_plugin "$number"
  else
    gcc_plugin "$compiler" "$number"
  fi
done
[ "$built" -gt 0 ] || { echo "polls: no plugin was built" >&2; exit 1; }
