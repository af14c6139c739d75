#!/usr/bin/env bash
# Runs the models of src/models over the protocols that ship: with loom (every schedule of small cases), then with
# shuttle (random schedules of larger cases). Arguments choose models by name: ci/models.sh barriers wakes
# It runs one model at a time: a model that shows a defect runs a second process, and the time limits assume a quiet
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
status=0
for checker in loom shuttle; do
  printf '\n== %s\n' "$checker"
  RUSTFLAGS="--cfg $checker" CARGO_TARGET_DIR=$target/$checker \
    cargo test --quiet --profile models --lib -- --test-threads 1 "${@:-models}" || status=1
done
exit "$status"
