#!/usr/bin/env bash
# Installs into an empty directory, builds a program against what lies there, shared and static, runs both, uninstalls.
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make} cc=${CC:-cc}
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
install_at=(DESTDIR="$dest" PREFIX=/opt/gomax LIBDIR=/opt/gomax/lib64)
lib=$dest/opt/gomax/lib64

"$make" -s install "${install_at[@]}"
for file in libgomax.so libgomax.so.0 libgomax.a pkgconfig/gomax.pc cmake/gomax/gomaxConfig.cmake; do
  [[ -e $lib/$file ]] || { echo "$file was not installed" >&2; exit 1; }
done
! grep -rn '@[A-Z]*@' "$lib/pkgconfig" "$lib/cmake" || { echo "a placeholder was left" >&2; exit 1; }

flags=(-I"$dest/opt/gomax/include" -L"$lib" -lgomax)
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
  read -ra flags < <(pkg-config --cflags --libs gomax)
fi
program=(-std=c11 -D_GNU_SOURCE -pthread -Ictests ctests/00_smoke.c)
"$cc" "${program[@]}" -o "$dest/shared" "${flags[@]}"
LD_LIBRARY_PATH=$lib "$dest/shared"
"$cc" "${program[@]}" -o "$dest/static" -I"$dest/opt/gomax/include" "$lib/libgomax.a" -lgcc_s -lrt -lm -ldl
"$dest/static"
rm "$dest/shared" "$dest/static"

"$make" -s uninstall "${install_at[@]}"
left=$(find "$dest" ! -type d)
[[ -z $left ]] || { echo "uninstall left: $left" >&2; exit 1; }
