#!/usr/bin/env bash
# Checks the crates in Cargo.lock, inside/Cargo.lock and inside/page/Cargo.lock for known vulnerabilities, and the rules
# of deny.toml, with cargo-deny (`cargo install cargo-deny`). It needs a network for the list of vulnerabilities, or
# DENY_OFFLINE=1 and a copy of the list from an earlier run. Without cargo-deny it says so and checks nothing;
# tests/dependencies.rs holds the checks that need neither cargo-deny nor a network.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! ${CARGO:-cargo} deny --version >/dev/null 2>&1; then
  echo "there is no cargo-deny: known faults of the dependencies are not looked up"
  echo "0 passed, 0 failed"
  exit 0
fi
flags=(--locked)
[[ -z ${DENY_OFFLINE:-} ]] || flags+=(--offline)
passed=0 failed=0
for what in bans licenses sources advisories; do
  for manifest in Cargo.toml inside/Cargo.toml inside/page/Cargo.toml; do
    if ${CARGO:-cargo} deny --manifest-path "$manifest" "${flags[@]}" check --config deny.toml "$what"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done
done
echo "$passed passed, $failed failed"
((failed == 0))
