#!/usr/bin/env bash
# Checks the release archive that `make dist` makes of the commit: two of them are equal byte for byte, it has the files
# of the commit and no others, its hashes are right, and its bill of materials names libc alone.
#
#   ci/dist.sh          takes seconds
#   ci/dist.sh build    also builds what the archive holds, without a network and without git, and runs a program with
#                       it. cargo must have libc already: from an earlier build, or vendored. Takes minutes.
#
# Ends with `N passed, N failed`. Environment: MAKE, CC, PYTHON.
source "$(dirname "$0")/lib.sh"
make=${MAKE:-make} cc=${CC:-cc} python=${PYTHON:-python3}
git rev-parse --quiet --verify HEAD >/dev/null 2>&1 || { echo "this is no git checkout"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(git show HEAD:Cargo.toml | sed -n 's/^version = "\(.*\)"/\1/p' | head -n 1)
name=gomax-$version

twice() { # what an archive must not depend on: the umask, the time zone, the language
  (umask 022 && TZ=UTC LC_ALL=C packaging/dist.sh "$work/one") && (umask 077 && TZ=Asia/Tokyo packaging/dist.sh "$work/two") || return 1
  diff -r "$work/one" "$work/two"
}
same_files() {
  git ls-tree -r --name-only HEAD | sort >"$work/committed"
  tar -tzf "$work/one/$name.tar.gz" | grep -v '/$' | sed "s|^$name/||" | sort >"$work/archived"
  diff "$work/committed" "$work/archived" || return 1
  for part in zig nim; do
    diff <(sed -n "s|^bindings/$part/||p" "$work/committed") \
      <(tar -tzf "$work/one/gomax-$part-$version.tar.gz" | grep -v '/$' | sed "s|^gomax-$part-$version/||" | sort) || return 1
  done
}
plain_modes() { # root's, writable by root alone, and all from one second
  for archive in "$work"/one/*.tar.gz; do tar -tvzf "$archive" --numeric-owner --full-time; done | awk '
    $2 != "0/0" || $1 !~ /^([d-]rw[x-]r-[x-]r-[x-]|lrwxrwxrwx)$/ { print; bad = 1 }
    { times[$4 " " $5] }
    END { for (t in times) n++; exit bad || n != 1 }'
}
sums() { (cd "$work/one" && [[ $(wc -l <SHA256SUMS) == 4 ]] && sha256sum --check --strict SHA256SUMS); }
materials() {
  "$python" - "$work/one/$name.spdx.json" "$version" <<'PY'
import json, sys
bill = json.load(open(sys.argv[1]))
assert bill["spdxVersion"] == "SPDX-2.3", bill
packages = {p["name"]: p for p in bill["packages"]}
assert sorted(packages) == ["gomax", "libc"], packages
assert packages["gomax"]["versionInfo"] == sys.argv[2], packages
ids = {p["SPDXID"] for p in bill["packages"]} | {bill["SPDXID"]}
for relation in bill["relationships"]:
    assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= ids, relation
PY
}
builds() {
  tar -xzf "$work/one/$name.tar.gz" -C "$work" && cd "$work/$name" || return 1
  env -u CARGO_TARGET_DIR -u RUSTFLAGS GIT_DIR=/dev/null "$make" build CARGO_FLAGS=--offline &&
    env -u CARGO_TARGET_DIR "$make" install DESTDIR="$work/root" PREFIX=/usr || return 1
  "$cc" -std=c11 -D_GNU_SOURCE -pthread -Ictests -I"$work/root/usr/include" -o "$work/smoke" ctests/smoke.c \
    -L"$work/root/usr/lib" -lgomax && LD_LIBRARY_PATH=$work/root/usr/lib "$work/smoke"
}

check "two archives of a commit are equal" twice
check "the archives have the files of the commit" same_files
check "owners, modes and times" plain_modes
check "the hashes" sums
check "the bill of materials" materials
[[ ${1:-} != build ]] || check "the archive builds without a network" builds
summary
