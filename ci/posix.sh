#!/usr/bin/env bash
# Builds libgomax_posix (posix/) and tests it: what each function does on a goroutine and off it, by the programs of
# posix/tests; that a program which does not use it makes the same system calls, by strace; what posix/errno_check.py
# finds; and unmodified libraries, also with TLS: libpq with a PostgreSQL server of its own, libcurl with examples/httpd
# and servers of the tests, hiredis with demo/resp. What is not installed is left out, and said; with GMX_NO_SKIP=1 it
# fails. `ci/posix.sh cost` instead prints what the calls cost: docs/posix.md.
# Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CARGO, CC, PYTHON.
source "$(dirname "$0")/lib.sh"
use_library
cargo=${CARGO:-cargo} cc=${CC:-cc} python=${PYTHON:-python3}
background=() conninfo_tls=
servers_end() {
  ((${#background[@]} == 0)) || kill "${background[@]}" 2>/dev/null
  background=()
  wait
}
trap 'servers_end; rm -rf "$work"' EXIT

# installed WHAT COMMAND...: whether the command works; otherwise what needs it is left out
installed() {
  "${@:2}" >/dev/null 2>&1 && return
  echo "left out: $1"
  [[ ${GMX_NO_SKIP:-} != 1 ]] || failed=$((failed + 1))
  return 1
}
header() { echo "#include <$1>" | "$cc" -E "${@:2}" -; } # FILE FLAGS...

posix_cargo() { GMX_LIBDIR=$work/lib "$cargo" "$1" --manifest-path posix/Cargo.toml "${@:2}"; }
built() {
  posix_cargo build --release --quiet --locked --target-dir "$target/posix" &&
    cp "$target/posix/release/libgomax_posix.so" "$work/lib" && ln -s libgomax_posix.so "$work/lib/libgomax_posix.so.0"
}
check "builds" built
((failed == 0)) || { summary; exit; }
flags=(-std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -Iinclude -pthread "-L$work/lib")
links=(-Wl,--no-as-needed -lgomax_posix -lgomax)
ulimit -n "$(ulimit -Hn)"

program() { # NAME FILE FLAGS...
  "$cc" "${flags[@]}" -Ictests -o "$work/$1" "$2" "${links[@]}" "${@:3}"
}

# ---- the library by itself ------------------------------------------------------------------------------------------

style() {
  posix_cargo fmt --check && posix_cargo clippy --quiet --locked --target-dir "$target/posix" -- -D warnings
}
exports() { # what the page and the header list, and nothing else
  nm -D --defined-only "$work/lib/libgomax_posix.so" | awk '{ print $3 }' | grep -v '^gmx_posix_' | sort >"$work/exports"
  sed -n '/^## The functions/,/^## /p' docs/posix.md | grep -oE '^\| `[^|]*`' | grep -oE '[a-z_][a-z0-9_]+' | sort >"$work/listed"
  diff "$work/listed" "$work/exports"
}
runs() { program "$1" "posix/tests/$1.c" && timeout -k 5 150 "$work/$1"; }
linked_last() {
  "$cc" "${flags[@]}" -o "$work/last" posix/tests/last.c -Wl,--no-as-needed -lc -lgomax_posix -lgomax && "$work/last"
}
errno_is_found() { # of a program whose functions are known
  program errno posix/tests/errno.c
  "$python" posix/errno_check.py "$work/errno" | tee "$work/kept"
  grep -q ': keeps_address: over recv' "$work/kept" && [[ $(grep -c ': over ' "$work/kept") == 1 ]] &&
    "$python" posix/errno_check.py --groups poll,names "$work/errno"
}
traced() { # FILE COMMAND...: the calls of the program between its marks, without addresses and times
  strace -o "$work/trace" "${@:2}" &&
    sed -nE '/close\(-73\)/,/close\(-73\)/{s/0x[0-9a-f]+/ADDRESS/g;s/htons\([0-9]+\)/PORT/g;s/(left|tv_nsec=|tv_usec=).*/\1/;p}' \
      "$work/trace" >"$1" && (($(wc -l <"$1") > 55))
}
the_same_calls() {
  "$cc" "${flags[@]}" -o "$work/without" posix/tests/off.c && program off posix/tests/off.c -DWITH_SHIM &&
    traced "$work/calls.without" "$work/without" && traced "$work/calls.off" "$work/off" &&
    traced "$work/calls.no_g" "$work/off" on && diff "$work/calls.without" "$work/calls.off" &&
    diff "$work/calls.without" "$work/calls.no_g"
}

if (($# == 0)); then
  if installed "the style of posix/, without rustfmt and clippy" posix_cargo clippy --version; then check "style" style; fi
  check "the page lists each function" exports
  for test in waits limits closes held errno; do check "$test" runs "$test"; done
  check "linked behind the C library" linked_last
  if installed "errno_check.py, without objdump for x86-64" grep -q x86_64 <(uname -m); then
    check "functions that keep the address of errno are found" errno_is_found
  fi
  if installed "the system calls of a program that does not use it, without strace" strace true; then
    check "the system calls without it and with it" the_same_calls
  fi
fi

certificate() { # $work/cert.pem and $work/key.pem
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$work/key.pem" -out "$work/cert.pem"
}

# ---- libpq ----------------------------------------------------------------------------------------------------------

# A server of our own, on a unix socket in $work/pg, and with TLS at a port; $conninfo and $conninfo_tls say where
postgres_begins() {
  local as=() bin
  bin=$(pg_config --bindir)
  mkdir "$work/pg" && chmod 711 "$work" || return 1
  if ((EUID == 0)); then # it refuses to run as root
    chown 65534 "$work/pg"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
  fi
  (cd "$work/pg" && "${as[@]}" "$bin/initdb" --no-sync --auth trust --username postgres -D "$work/pg/data") >"$work/initdb" 2>&1 ||
    { cat "$work/initdb"; return 1; }
  port=$((20000 + RANDOM % 10000))
  if certificate >"$work/said" 2>&1; then
    "${as[@]}" cp "$work/cert.pem" "$work/pg/data/server.crt" && cp "$work/key.pem" "$work/pg/data/server.key" || return 1
    ((EUID != 0)) || chown 65534 "$work/pg/data/server.key"
    echo "ssl = on" >>"$work/pg/data/postgresql.conf"
    conninfo_tls="host=127.0.0.1 port=$port user=postgres dbname=postgres sslmode=require"
  fi
  cat >>"$work/pg/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$work/pg'
fsync = off
max_connections = 120
CONF
  cd "$work/pg" || return 1
  "${as[@]}" "$bin/postgres" -D "$work/pg/data" >"$work/postgres.log" 2>&1 &
  background+=($!)
  cd "$OLDPWD" || return 1
  conninfo="host=$work/pg port=$port user=postgres dbname=postgres"
  for ((i = 0; i < 600; i++)); do
    "$bin/pg_isready" -q -h "$work/pg" -p "$port" && return
    kill -0 "${background[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/postgres.log"
  return 1
}
pq() { # NAME FILE
  local include
  include=$(pg_config --includedir)
  program "$1" "$2" "-I$include" "-L$(pg_config --libdir)" -lpq
}
libpq_works() { pq libpq posix/tests/libpq.c && timeout -k 5 300 "$work/libpq" "$1"; }
pool_works() { # the example, on so many Ps
  pq pool examples/libpq/pool.c && timeout -k 5 120 env GMX_MAXPROCS="$1" "$work/pool" "$conninfo" 20 400
}
libpq_keeps_none() {
  local so
  so=$(ldd "$work/libpq" | awk '$1 ~ /^libpq\./ { print $3 }')
  "$python" posix/errno_check.py --groups poll,names "$so"
}

has_postgres() { header libpq-fe.h "-I$(pg_config --includedir)" && [[ -x $(pg_config --bindir)/initdb ]]; }
if (($# == 0)) && installed "libpq, without its header and a server (libpq-dev, postgresql)" has_postgres; then
  if postgres_begins >"$work/begins" 2>&1; then
    check "libpq" libpq_works "$conninfo"
    if installed "libpq with TLS, without openssl" [ "$conninfo_tls" ]; then check "libpq with TLS" libpq_works "$conninfo_tls"; fi
    for ps in 1 4; do check "examples/libpq on $ps Ps" pool_works "$ps"; done
    ! grep -q x86_64 <(uname -m) || check "libpq keeps no address of errno over poll" libpq_keeps_none
  else
    cat "$work/begins"
    failed=$((failed + 1))
  fi
fi
# ---- libcurl and hiredis, with servers of this repository ------------------------------------------------------------

plain() { # NAME FILE FLAGS...: a program of libgomax
  "$cc" "${flags[@]}" "${@:3}" -o "$work/$1" "$2" -lgomax
}
begins() { # NAME COMMAND...: in the background; $port is the first number that it says
  "${@:2}" >"$work/$1.said" 2>&1 &
  background+=($!)
  for ((i = 0; i < 600; i++)); do
    port=$(grep -oE '[0-9]+' "$work/$1.said" | head -n 1)
    [[ -z $port ]] || return 0
    kill -0 "${background[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/$1.said"
  return 1
}
curl_works() { # SCHEME
  program curl posix/tests/curl.c -lcurl && timeout -k 5 300 "$work/curl" "$1://127.0.0.1:$port/file" 300000
}
hiredis_works() {
  program hiredis posix/tests/hiredis.c -lhiredis && timeout -k 5 300 "$work/hiredis" "$port"
}
served() {
  mkdir "$work/www" && head -c 300000 /dev/zero >"$work/www/file" && plain httpd examples/httpd/httpd.c
}
if (($# == 0)) && installed "libcurl, without its header (libcurl4-openssl-dev)" header curl/curl.h; then
  check "a server for libcurl" served
  if begins httpd "$work/httpd" "$work/www" --ps 2; then check "libcurl" curl_works http; else failed=$((failed + 1)); fi
  if installed "libcurl with TLS, without openssl" certificate; then
    if begins https "$python" posix/tests/https.py "$work/www" "$work/cert.pem" "$work/key.pem"; then
      check "libcurl with TLS" curl_works https
    else
      failed=$((failed + 1))
    fi
  fi
fi
if (($# == 0)) && installed "hiredis, without its header (libhiredis-dev)" header hiredis/hiredis.h; then
  check "a server for hiredis" plain resp demo/resp/server.c
  if begins resp "$work/resp" 0 2; then check "hiredis" hiredis_works; else failed=$((failed + 1)); fi
fi

# ---- what it costs --------------------------------------------------------------------------------------------------

cost() {
  plain cost.without posix/tests/cost.c -Ictests && program cost posix/tests/cost.c -DWITH_SHIM || return 1
  for how in "cost.without" "cost" "cost off" "cost thread" "cost on"; do
    echo "== $how"
    # shellcheck disable=SC2086
    "$work/"$how || return 1
  done
}
if [[ ${1:-} == cost ]]; then cost || failed=$((failed + 1)); fi

servers_end # (the summary waits for what runs in the background)
summary
