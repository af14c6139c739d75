#!/usr/bin/env bash
# Installs into an empty directory; builds programs in C and C++ against the installed files with pkg-config, with CMake
# and by hand, shared and static; runs them; uninstalls. cargo-c would install the same files, and is not needed here.
# Then installs as the README says, into /usr/local and into another prefix, in a mount namespace with copies of /etc
# and /usr: a program must start without further help. This part is skipped if the system allows no such namespace.
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make} cargo=${CARGO:-cargo} cc=${CC:-cc} cxx=${CXX:-c++}
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
install_at=(DESTDIR="$dest" PREFIX=/opt/gomax LIBDIR=/opt/gomax/lib64)
root=$dest/opt/gomax
lib=$root/lib64

"$make" -s posix
"$make" -s inside
"$make" -s page
"$make" -s install "${install_at[@]}" >"$dest/said"
grep -q "ldconfig$" "$dest/said" || { echo "with DESTDIR it did not say what is left to do: $(cat "$dest/said")" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
for file in lib64/libgomax.so lib64/libgomax.so.0 lib64/libgomax.so."$version" lib64/libgomax.a lib64/pkgconfig/gomax.pc \
  lib64/cmake/gomax/gomaxConfig.cmake lib64/cmake/gomax/gomaxConfigVersion.cmake include/gomax.h include/gomax.hpp \
  lib64/libgomax_posix.so lib64/libgomax_posix.so.0 lib64/libgomax_posix.so."$version" lib64/pkgconfig/gomax-posix.pc \
  bin/gomax-trace share/man/man1/gomax-trace.1 lib64/libgomax-debug.so.0 bin/gomaxctl share/man/man1/gomaxctl.1 include/gomax_posix.h share/man/man3/gmx_spawn.3 share/man/man7/gomax.7 share/doc/gomax/LICENSE-MIT share/doc/gomax/c.md \
  include/gomax_net.hpp include/gomax_os.hpp include/gomax_errno.h share/gdb/auto-load/opt/gomax/lib64/libgomax.so."$version"-gdb.py; do
  [[ -e $root/$file ]] || { echo "$file was not installed" >&2; exit 1; }
done
! grep -rlaF -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}" "$root" || { echo "a path of the builder was installed" >&2; exit 1; }
[[ $(stat -c %a "$lib/libgomax.so.$version") == 644 ]] || { echo "the library's mode is not 644" >&2; exit 1; }
! grep -rn '@[A-Z_]*@' "$lib/pkgconfig" "$lib/cmake" || { echo "a placeholder was left" >&2; exit 1; }

# the files that build.rs writes for cargo-c, and the headers that Cargo.toml names, are those that make has installed;
# cargo-c itself makes the rest; libgomax_posix, gomax-trace and the live page are not its
out=$(PREFIX=/opt/gomax LIBDIR=/opt/gomax/lib64 "$cargo" check --quiet --lib --features capi --message-format=json |
  sed -n '/"build-script-executed".*gomax/s/.*"out_dir":"\([^"]*\)".*/\1/p')
mkdir "$dest/cargo-c"
cp -R "$out/capi/prefix/." "$dest/cargo-c"
mkdir "$dest/cargo-c/include"
sed -n '/^\[package.metadata.capi.install.include\]/,/^$/p' Cargo.toml | grep -o 'from = "[^"]*"' | cut -d '"' -f 2 |
  xargs -I{} cp {} "$dest/cargo-c/include"
diff -r -x 'libgomax.*[!y]' -x bin -x man -x doc -x pkgconfig -x '*gomax_posix*' -x 'libgomax-debug*' "$root" "$dest/cargo-c" || { echo "cargo-c installs something else" >&2; exit 1; }

[[ $("$root/bin/gomax-trace" --version) == "gomax-trace $version" ]] || { echo "gomax-trace has another version" >&2; exit 1; }
[[ $("$root/bin/gomaxctl" --version) == "gomaxctl $version" ]] || { echo "gomaxctl has another version" >&2; exit 1; }

# the installed tree may be moved: gomax.pc names no directory except its prefix
[[ $(grep -c /opt/gomax "$lib/pkgconfig/gomax.pc") == 1 ]] || { cat "$lib/pkgconfig/gomax.pc" >&2; exit 1; }
if command -v pkg-config >/dev/null; then
  moved=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --define-variable=prefix=/else/where --cflags --libs gomax)
  [[ $moved == *-I/else/where/include* && $moved == *-L/else/where/lib64* ]] || { echo "gomax.pc, moved: $moved" >&2; exit 1; }
fi

# a large frame must not jump over the guard of a goroutine's stack
for file in "$lib/pkgconfig/gomax.pc" "$lib/cmake/gomax/gomaxConfig.cmake"; do
  grep -q -e -fstack-clash-protection "$file" || { echo "$file does not ask for -fstack-clash-protection" >&2; exit 1; }
done

cat >"$dest/plain.cpp" <<'CPP'
#include <gomax_os.hpp>
int main() { return gomax::run([] { return gomax::go([] { return 7; }).join(); }) == 7 ? 0 : 1; }
CPP
c=(-std=c11 -D_GNU_SOURCE -pthread -Ictests ctests/smoke.c)
cpp=(-std=c++17 -pthread "$dest/plain.cpp")
flags=(-I"$root/include" -L"$lib" -lgomax)
# a directory with the archive alone: if both lie there, the linker takes the shared library
mkdir "$dest/archive"
cp "$lib/libgomax.a" "$dest/archive"
static=(-I"$root/include" -lgomax -lrt -lpthread -lm -ldl)
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
  read -ra flags < <(pkg-config --cflags --libs gomax)
  read -ra static < <(pkg-config --cflags --libs --static gomax)
fi
# an unmodified call parks: it comes to libgomax_posix, which stands before the C library
if command -v pkg-config >/dev/null; then
  cat >"$dest/sleeps.c" <<'C'
#include <gomax_posix.h>
#include <unistd.h>
static void sleeps(void *unused) { (void)unused; usleep(1000); }
int main(void) {
  if (gmx_posix_enable(GMX_POSIX_ALL) != GMX_OK || gmx_spawn(sleeps, NULL) != GMX_OK) return 1;
  return gmx_shutdown(INT64_C(20000000000)) == GMX_OK ? 0 : 1;
}
C
  read -ra posix < <(pkg-config --cflags --libs gomax-posix)
  "$cc" -std=c11 -D_GNU_SOURCE -o "$dest/sleeps" "$dest/sleeps.c" "${posix[@]}"
  LD_LIBRARY_PATH=$lib "$dest/sleeps"
fi
"$cc" "${c[@]}" -o "$dest/shared" "${flags[@]}"
LD_LIBRARY_PATH=$lib "$dest/shared"
"$cxx" "${cpp[@]}" -o "$dest/shared++" "${flags[@]}"
LD_LIBRARY_PATH=$lib "$dest/shared++"
# exactly the flags of pkg-config, except the directory with the shared library
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
  cp ctests/smoke.c ctests/check.h "$dest/plain.cpp" "$dest/project"
  cat >"$dest/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(uses_gomax C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(gomax 0.2 CONFIG REQUIRED)
find_package(Threads REQUIRED)
add_executable(c smoke.c)
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

# as the README says
cat >"$dest/documented" <<'SH'
set -euo pipefail
dest=$1 make=$2 cc=$3
for dir in etc usr; do
  mkdir -p "$dest/over/$dir" "$dest/scratch/$dir"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$dest/over/$dir,workdir=$dest/scratch/$dir" "/$dir" 2>/dev/null || exit 77
done
unset LD_LIBRARY_PATH PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
rm -f /usr/local/lib/libgomax* /usr/lib/libgomax* && ldconfig
mkdir "$dest/user"
cp ctests/smoke.c ctests/check.h "$dest/user"
starts() { # FLAGS...: a user elsewhere builds a program with these flags, and it starts
  (cd "$dest/user" && rm -f smoke && "$cc" -std=c11 -D_GNU_SOURCE -pthread -o smoke smoke.c "$@" && ./smoke)
}
"$make" -s install >"$dest/said"
[[ ! -s $dest/said ]] || { echo "it says, though all is well: $(cat "$dest/said")"; exit 1; }
starts -lgomax
if command -v pkg-config >/dev/null; then read -ra flags < <(pkg-config --cflags --libs gomax) && starts "${flags[@]}"; fi
"$make" -s uninstall
! starts -lgomax 2>/dev/null || { echo "it starts after make uninstall"; exit 1; }
# a prefix that the loader does not know: the printed advice helps
"$make" -s install PREFIX=/usr/own >"$dest/said"
own=(-I/usr/own/include -L/usr/own/lib -lgomax)
! starts "${own[@]}" 2>/dev/null || { echo "the loader knows /usr/own/lib"; exit 1; }
rpath=$(grep -o -- '-Wl,-rpath,[^ ,]*' "$dest/said")
starts "${own[@]}" "$rpath"
sh -c "$(sed -n 's/^  //p' "$dest/said")"
starts "${own[@]}"
"$make" -s install PREFIX=/usr/own >"$dest/said" # now it does
[[ ! -s $dest/said ]]
# not as root
"$make" -s -n install PREFIX=/usr/own | grep -q ldconfig.sh
if id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null; then
  cp packaging/ldconfig.sh "$dest/user" && chmod -R a+rX "$dest"
  setpriv --reuid nobody --clear-groups sh "$dest/user/ldconfig.sh" /usr/own/lib 2>/dev/null | grep -q 'as root: ldconfig$'
fi
SH
namespace=(unshare --mount)
[[ $(id -u) == 0 ]] || namespace+=(--map-root-user)
if "${namespace[@]}" true 2>/dev/null; then
  "${namespace[@]}" bash "$dest/documented" "$dest" "$make" "$cc" || {
    (($? == 77)) || { echo "installed as the README says, a program does not start" >&2; exit 1; }
    echo "left out: the system does not let this script try an installation in /usr/local"
  }
else
  echo "left out: the system does not let this script try an installation in /usr/local"
fi
