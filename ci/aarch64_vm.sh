#!/usr/bin/env bash
# Runs the C tests on AArch64 under a kernel of its own: `ci/aarch64_vm.sh`, or with parts of names as for `cargo test
# --test ctests --`. On another machine qemu emulates one, with Debian's kernel for arm64, which takes hours.
#
# The tests are compiled here. The emulated machine has the directory of the build, read-only, and a port: GMX_RUNNER
# is this script, which sends the name of a program there and gets its output. An emulated CPU of AArch64 on x86-64
# keeps the order that x86-64 has, so fences are the models' business.
#
# Exit: 0 passed, 1 failed, 77 a tool is missing. Needs gcc- and g++-aarch64-linux-gnu, qemu-system-arm, cpio, apt-get
# and `rustup target add aarch64-unknown-linux-gnu`. MEMORY (4G) and CPUS (2) are the machine's, KEEP=FILE its log.
set -euo pipefail
cd "$(dirname "$0")/.."

# As GMX_RUNNER: sends the environment and the program, and gets status, length of the output, output and errors.
if [[ ${1:-} == --program ]]; then
  exec 3<>"/dev/tcp/127.0.0.1/$GMX_VM_PORT"
  { env | grep -E '^GMX(_[A-Z_]+|DEBUG)=[^ ]*$' | grep -vE '^GMX_(VM|RUNNER|LIB|CC)'; printf '%s\n' "$2" ''; } >&3
  IFS= read -r -u 3 status
  IFS= read -r -u 3 length
  head -c "$length" <&3
  cat <&3 >&2
  exit "$status"
fi

[[ $(uname -m) != aarch64 ]] || exec cargo test --test ctests -- "$@"
missing() { echo "aarch64_vm: skipped, there is no $1"; exit 77; }
for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-system-aarch64 cpio apt-get; do
  command -v $tool >/dev/null || missing $tool
done
machine=aarch64-unknown-linux-gnu
[[ -d $(rustc --print sysroot)/lib/rustlib/$machine ]] || missing "Rust target $machine"
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/aarch64_vm
mkdir -p "$work"

# ---- kernel and busybox of Debian for arm64 ----

# apt_arm64 COMMAND...: an apt that knows arm64 only, and nothing of this system's packages
apt_arm64() {
  local tool=$1
  shift
  "$tool" -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$work/apt/lists" \
    -o Dir::State::Status="$work/apt/status" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root "$@"
}

if ! compgen -G "$work/debian/boot/vmlinuz-*" >/dev/null; then
  mkdir -p "$work"/apt/{lists/partial,cache/archives/partial} "$work/debian"
  : >"$work/apt/status"
  apt_arm64 apt-get update >"$work/apt/log" || { cat "$work/apt/log"; missing "list of packages for arm64"; }
  kernel=$(apt_arm64 apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p')
  (cd "$work/apt" && apt_arm64 apt-get download "$kernel" busybox-static >>log) || missing "kernel for arm64"
  for package in "$work"/apt/*.deb; do dpkg -x "$package" "$work/debian"; done
fi
modules=(virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net netfs fscache 9pnet
  9pnet_virtio 9p)

# ---- the root of the machine ----

root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc,lib,proc,root,sys,tmp,usr,modules}
ln -s ../bin ../lib "$root/usr"
cp "$work/debian/bin/busybox" "$root/bin"
ln -s busybox "$root/bin/sh"
for name in "${modules[@]}"; do
  find "$work/debian/lib/modules" -name "$name.ko" -exec cp {} "$root/modules" \;
done
for name in ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6; do
  cp -L "/usr/aarch64-linux-gnu/lib/$name" "$root/lib"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$root/etc/hosts"
printf 'hosts: files\n' >"$root/etc/nsswitch.conf"
for name in protocols services; do [[ ! -e /etc/$name ]] || cp /etc/$name "$root/etc"; done

cat >"$root/init" <<INIT
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp
mkdir -p /dev/pts /dev/shm; mount -t devpts none /dev/pts; mount -t tmpfs none /dev/shm
for name in ${modules[*]}; do insmod /modules/\$name.ko || [ ! -e /modules/\$name.ko ]; done
ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0
mkdir -p $target
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 build $target || poweroff -f
echo the machine is ready
ulimit -n 20000
exec nc -ll -p 7000 -e /bin/program
INIT
# The time is limited here too, so that a program that hangs leaves what it said.
cat >"$root/bin/program" <<'PROGRAM'
#!/bin/sh
while read -r line; do
  case $line in
    '') break ;;
    *=*) export "$line" ;;
    *) program=$line ;;
  esac
done
dir=$(mktemp -d) && cd "$dir" || exit
setsid timeout -s KILL $((GMX_TEST_TIMEOUT * 9 / 10)) "$program" </dev/null >/"$dir.out" 2>/"$dir.err"
echo $?
wc -c <"$dir.out"
cat "$dir.out" "$dir.err"
rm -rf "$dir" "$dir.out" "$dir.err"
PROGRAM
chmod +x "$root/init" "$root/bin/program"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"

# ---- build, start, test ----

CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
  cargo build --quiet --release --lib --locked --target $machine
GMX_VM_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
log=${KEEP:-$work/log}
: >"$log"
qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on -accel tcg,thread=multi -smp "${CPUS:-2}" -m "${MEMORY:-4G}" \
  -nodefaults -nographic -no-reboot -serial "file:$log" -kernel "$work"/debian/boot/vmlinuz-* -initrd "$work/initramfs" \
  -append "console=ttyAMA0 quiet panic=-1" -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$GMX_VM_PORT-:7000" \
  -device virtio-net-pci,netdev=net,romfile= \
  -virtfs "local,path=$target,mount_tag=build,security_model=none,readonly=on" &
vm=$!
trap 'kill $vm 2>/dev/null || true' EXIT
until grep -q '^the machine is ready' "$log"; do
  kill -0 $vm 2>/dev/null || { cat "$log"; echo "aarch64_vm: failed, the machine does not start"; exit 1; }
  sleep 1
done

export GMX_VM_PORT GMX_RUNNER="$PWD/ci/aarch64_vm.sh --program" GMX_LIB="$target/$machine/release/libgomax.so"
export GMX_CC=aarch64-linux-gnu-gcc GMX_CXX=aarch64-linux-gnu-g++ GMX_TIMEOUT_SCALE=${GMX_TIMEOUT_SCALE:-20}
if (($#)); then
  tests=("$@")
else
  # not WHY TEST...
  declare -A why
  not() { for test in "${@:2}"; do why[$test]=$1; done; }
  not "counts how often a thread starts later than another function, which the emulator has to translate first" child_first
  not "compiles a program" cxx_late
  not "the machine has no Python" py_smoke
  tests=(--exact)
  for file in ctests/*.{c,cpp}; do
    test=$(basename "${file%.*}")
    [[ -n ${why[$test]:-} ]] || tests+=("$test")
  done
  for test in "${!why[@]}"; do echo "left out: $test: ${why[$test]}"; done
fi
cargo test --quiet --test ctests -- "${tests[@]}" || { tail -n 20 "$log"; exit 1; }
