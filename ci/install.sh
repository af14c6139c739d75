#!/usr/bin/env bash
# Installs into an empty directory, builds programs in C and C++ against what lies there, by pkg-config, by CMake and by hand,
# shared and static, runs them, uninstalls. What cargo-c would install besides is the same; cargo-c itself is not needed.
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make} cargo=${CARGO:-cargo} cc=${CC:-cc} cxx=${CXX:-c++}
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
install_at=(DESTDIR="$dest" PREFIX=/opt/gomax LIBDIR=/opt/gomax/lib64)
root=$dest/opt/gomax
lib=$root/lib64

"$make" -s install "${install_at[@]}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
for file in lib64/libgomax.so lib64/libgomax.so.0 lib64/libgomax.so."$version" lib64/libgomax.a lib64/pkgconfig/gomax.pc \
  lib64/cmake/gomax/gomaxConfig.cmake lib64/cmake/gomax/gomaxConfigVersion.cmake include/gomax.h include/gomax.hpp \
  include/gomax_errno.h share/gdb/auto-load/opt/gomax/lib64/libgomax.so."$version"-gdb.py; do
  [[ -e $root/$file ]] || { echo "$file was not installed" >&2; exit 1; }
done
! grep -rlaF -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}" "$root" || { echo "a path of the builder was installed" >&2; exit 1; }
! grep -rn '@[A-Z_]*@' "$lib/pkgconfig" "$lib/cmake" || { echo "a placeholder was left" >&2; exit 1; }

# what build.rs writes for cargo-c, and the headers that Cargo.toml names, are what make has installed; cargo-c itself makes
# the rest
out=$(PREFIX=/opt/gomax LIBDIR=/opt/gomax/lib64 "$cargo" check --quiet --lib --features capi --message-format=json |
  sed -n '/"build-script-executed".*gomax/s/.*"out_dir":"\([^"]*\)".*/\1/p')
mkdir "$dest/cargo-c"
cp -R "$out/capi/prefix/." "$dest/cargo-c"
mkdir "$dest/cargo-c/include"
sed -n '/^\[package.metadata.capi.install.include\]/,/^$/p' Cargo.toml | grep -o 'from = "[^"]*"' | cut -d '"' -f 2 |
  xargs -I{} cp {} "$dest/cargo-c/include"
diff -r -x 'libgomax.*[!y]' -x pkgconfig "$root" "$dest/cargo-c" || { echo "cargo-c installs something else" >&2; exit 1; }

cat >"$dest/plain.cpp" <<'CPP'
#include <gomax.hpp>
int main() { return gomax::run([] { return gomax::go([] { return 7; }).join(); }) == 7 ? 0 : 1; }
CPP
c=(-std=c11 -D_GNU_SOURCE -pthread -Ictests ctests/00_smoke.c)
cpp=(-std=c++17 -pthread "$dest/plain.cpp")
flags=(-I"$root/include" -L"$lib" -lgomax)
# an archive alone: where both lie the linker takes the shared library
mkdir "$dest/archive"
cp "$lib/libgomax.a" "$dest/archive"
static=(-I"$root/include" -lgomax -lrt -lpthread -lm -ldl)
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
  read -ra flags < <(pkg-config --cflags --libs gomax)
  read -ra static < <(pkg-config --cflags --libs --static gomax)
fi
"$cc" "${c[@]}" -o "$dest/shared" "${flags[@]}"
LD_LIBRARY_PATH=$lib "$dest/shared"
"$cxx" "${cpp[@]}" -o "$dest/shared++" "${flags[@]}"
LD_LIBRARY_PATH=$lib "$dest/shared++"
# exactly what pkg-config says, but for the directory with the shared library
static=("${static[@]/-L$lib/-L$dest/archive}")
"$cc" "${c[@]}" -o "$dest/static" -L"$dest/archive" "${static[@]}"
"$dest/static"
! ldd "$dest/static" | grep -q gomax || { echo "it was not linked statically" >&2; exit 1; }
"$cxx" "${cpp[@]}" -o "$dest/static++" -L"$dest/archive" "${static[@]}"
"$dest/static++"
if echo 'int main(void) { return 0; }' | "$cc" -x c - -static -o "$dest/probe" 2>/dev/null; then
  # (the linker warns of dlopen)
  "$cc" -static "${c[@]}" -o "$dest/all-static" -L"$dest/archive" "${static[@]}" 2>/dev/null
  "$dest/all-static"
fi
if command -v cmake >/dev/null; then
  mkdir "$dest/project"
  cp ctests/00_smoke.c ctests/check.h "$dest/plain.cpp" "$dest/project"
  cat >"$dest/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(uses_gomax C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(gomax 0.1 CONFIG REQUIRED)
find_package(Threads REQUIRED)
add_executable(c 00_smoke.c)
target_compile_definitions(c PRIVATE _GNU_SOURCE)
target_link_libraries(c PRIVATE gomax::gomax Threads::Threads)
add_executable(cpp plain.cpp)
target_link_libraries(cpp PRIVATE gomax::gomax Threads::Threads)
add_executable(static plain.cpp)
target_link_libraries(static PRIVATE gomax::gomax_static)
CMAKE
  cmake -S "$dest/project" -B "$dest/built" -Dgomax_DIR="$lib/cmake/gomax" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
    >"$dest/cmake.log" 2>&1 && cmake --build "$dest/built" >>"$dest/cmake.log" 2>&1 || { cat "$dest/cmake.log"; exit 1; }
  for program in c cpp static; do "$dest/built/$program"; done
  ! ldd "$dest/built/static" | grep -q gomax || { echo "CMake's static target is not" >&2; exit 1; }
fi

"$make" -s uninstall "${install_at[@]}"
left=$(find "$root" ! -type d)
[[ -z $left ]] || { echo "uninstall left: $left" >&2; exit 1; }
