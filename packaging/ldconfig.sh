#!/bin/sh
# packaging/ldconfig.sh LIBDIR [DESTDIR]: makes the loader find the library in LIBDIR, or tells the user how to do that.
# Programs that were linked with -lgomax start only after that. It never fails, since the files are already installed.
libdir=$1 destdir=${2:-}
PATH=$PATH:/usr/sbin:/sbin

# Whether the loader looks into LIBDIR: it is one of the directories that ldconfig would search, perhaps by another
# name.
known() {
  ldconfig -N -X -v 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p' | while read -r dir; do
    [ "$dir" -ef "$libdir" ] && echo yes
  done | grep -q yes
}

if [ -n "$destdir" ]; then
  echo "make install: where $libdir is put in place, let the loader know: ldconfig"
elif ! command -v ldconfig >/dev/null 2>&1; then
  echo "make install: there is no ldconfig; if programs do not find libgomax.so.0: LD_LIBRARY_PATH=$libdir"
elif ! known; then
  echo "make install: the loader does not look into $libdir. Link programs with -Wl,-rpath,$libdir, or as root:"
  echo "  echo $libdir > /etc/ld.so.conf.d/gomax.conf && ldconfig"
elif [ "$(id -u)" != 0 ] || ! ldconfig 2>/dev/null; then
  echo "make install: let the loader know, as root: ldconfig"
fi
exit 0
