#!/usr/bin/env bash
# What must hold before a release is tagged: docs/versions.md. If it holds, prints the text of the tag.
#
#   ci/release.sh         everything, of the commit that is checked out (make release)
#   ci/release.sh tree    only what must hold of every commit: one version everywhere, and every suite in the tables
#
# Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's.
source "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
minor=${gomax_version%.*} # an entry of CHANGELOG.md is 0.2 for 0.2.0, and 0.2.1 for that
entry=$minor
[[ $gomax_version == *.0 ]] || entry=$gomax_version

versions() { # each file, and what stands before the version in it
  local file before found bad=0
  while read -r file before; do
    found=$(grep -Pzo "(?m)$before\K[0-9][0-9.]*" "$file" | tr '\0' '\n' | head -n 1)
    [[ $found == "$gomax_version" ]] || { echo "$file has '$found', Cargo.toml $gomax_version"; bad=1; }
  done <<'LIST'
Cargo.lock ^name = "gomax"\nversion = "
posix/Cargo.toml ^version = "
posix/Cargo.lock ^name = "gomax-posix"\nversion = "
inside/Cargo.toml ^version = "
inside/Cargo.lock ^name = "gomax-inside"\nversion = "
inside/page/Cargo.toml ^version = "
inside/page/Cargo.lock ^name = "gomax-page"\nversion = "
include/gomax.h ^#define GMX_VERSION_STRING "
include/gomax_posix.h libgomax_posix +
bindings/zig/build.zig.zon \.version = "
bindings/nim/gomax.nimble ^version = "
packaging/debian/changelog ^gomax \(
packaging/rpm/gomax.spec ^Version: *
packaging/vcpkg/gomax/vcpkg.json "version": "
LIST
  return $bad
}
suites() { # each suite of ci/test.sh is in the table of docs/testing.md
  local suite bad=0
  for suite in $(sed -nE 's/^suite ([a-z-]+) .*/\1/p' ci/test.sh); do
    grep -qE "^\|.*\`$suite\`" docs/testing.md || { echo "docs/testing.md does not name the suite $suite"; bad=1; }
  done
  return $bad
}
has_entry() { # the newest one, with text
  [[ $(grep -m 1 '^## ' CHANGELOG.md) == "## $entry" && $(text | grep -c .) -gt 3 ]]
}
text() { sed "1,/^## ${entry//./\\.}\$/d; /^## /,\$d" CHANGELOG.md; }
compiles() { # each example of a version names this one
  ! grep -rnE 'find_package\(gomax [0-9.]+' docs README.md | grep -v "find_package(gomax $minor "
}
clean() { [[ -z $(git status --porcelain) ]]; }
untagged() { ! git rev-parse --quiet --verify "refs/tags/v$gomax_version" >/dev/null; }
abi() { # what is new has been taken in, so that the next version keeps it
  ci/abi.sh >"$work/abi" 2>&1 && ! grep -A 5 '^new since' "$work/abi"
}
deprecated() { # what is deprecated says so in the entry of its version
  local name bad=0
  for name in $(grep -oE 'GMX_DEPRECATED .*\b(gmx_[a-z0-9_]+)\(' include/gomax.h | grep -oE 'gmx_[a-z0-9_]+'); do
    grep -q "$name" CHANGELOG.md || { echo "CHANGELOG.md does not name $name, which is deprecated"; bad=1; }
  done
  return $bad
}

check "one version everywhere" versions
check "the documents have this version" compiles
check "docs/testing.md names each suite" suites
check "CHANGELOG.md names what is deprecated" deprecated
if [[ ${1:-} != tree ]]; then
  check "CHANGELOG.md begins with an entry for $entry" has_entry
  check "nothing is uncommitted" clean
  check "there is no tag v$gomax_version" untagged
  check "packaging/abi has what is new" abi
  check "the archive comes out the same twice" ci/dist.sh
  if ((failed == 0)); then
    packaging/dist.sh "$work/dist"
    cat <<TAG

git tag -s v$gomax_version -F -, with this text:

libgomax $gomax_version

$(text | sed -n '/^### /s/^### /- /p')
  (CHANGELOG.md has all of it)

Tested at $(git rev-parse --short=12 HEAD) by: make test, make sanitize, make miri, make models, make packages,
make stress MINUTES=10.

SHA-256:
$(cat "$work/dist/SHA256SUMS")

TAG
  fi
fi
summary
