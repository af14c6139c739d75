#!/usr/bin/env bash
# packaging/wheels.sh OUT [KIND...]: the source distribution of the Python package and its wheels for x86-64 into the
# directory OUT. The kinds are sdist, manylinux (glibc 2.28 and later) and musllinux (musl 1.2), by default all.
#
# Zig links the wheels' libraries, because it has the symbols of each glibc, and musl: with the linker of this system a
# library asks for this system's glibc. libgcc_s stays the system's on glibc, since a process has one unwinder; musl's
# systems need not have one, so there the library contains Zig's.
#
# Needs ziglang of PyPI (PYTHON -m ziglang) or ZIG, for musllinux `rustup target add x86_64-unknown-linux-musl`.
# Environment: ZIG, PYTHON, CARGO, CC.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(realpath "$1")
shift
kinds=("${@:-sdist}")
(($#)) || kinds=(sdist manylinux musllinux)
python=${PYTHON:-python3} cargo=${CARGO:-cargo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/wheels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

backend() { # HOOK: a hook of the build backend
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bindings/python/backend "$python" -c "import gomax_build; print(gomax_build.$1('$out'))"
}
linker() { # ZIGS-TARGET [FLAG...]
  cat >"$work/linker" <<SH
#!/bin/bash
args=()
for a in "\$@"; do
  [[ \$a != -lgcc_s ]] || a=$2
  args+=("\$a")
done
exec ${ZIG:-$python -m ziglang} cc -target $1 -Wl,--build-id=sha1 "\${args[@]}" ${3:-}
SH
  chmod +x "$work/linker"
}
library() { # RUSTS-TARGET: with our linker, but that of the system for what runs in the build
  local machine=$1
  env -u RUSTFLAGS "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$machine")_LINKER=$work/linker" CARGO_TARGET_DIR="$target" "$cargo" build \
    --release --lib --locked --target "$machine" "${@:2}"
  export GMX_LIB=$target/$machine/release/libgomax.so
}

for kind in "${kinds[@]}"; do
  case $kind in
    sdist) backend build_sdist ;;
    manylinux)
      linker x86_64-linux-gnu.2.28 "$("${CC:-cc}" -print-file-name=libgcc_s.so.1)" -Wl,--allow-shlib-undefined
      library x86_64-unknown-linux-gnu
      backend build_wheel
      ;;
    musllinux)
      linker x86_64-linux-musl -lunwind
      library x86_64-unknown-linux-musl --config "target.x86_64-unknown-linux-musl.rustflags=['-Ctarget-feature=-crt-static']"
      backend build_wheel
      ;;
    *) echo "sdist, manylinux or musllinux, not $kind" >&2; exit 2 ;;
  esac
done
