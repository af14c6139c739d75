#!/usr/bin/env bash
# Faults that are known of the crates in Cargo.lock, and the rules of deny.toml, by cargo-deny (`cargo install cargo-deny`).
# It wants a network for the list of known faults, or a copy of the list from an earlier run; DENY_OFFLINE=1 takes the copy.
# Without cargo-deny nothing is checked here, and that is said: tests/dependencies.rs holds what needs neither it nor a network.
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
  if ${CARGO:-cargo} deny "${flags[@]}" check "$what"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
((failed == 0))
