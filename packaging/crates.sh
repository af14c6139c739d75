#!/bin/sh
# packaging/crates.sh TREE CRATES: makes the source tree TREE build with the crates in the directory CRATES, without a
# network and with whatever version of libc lies there. This is for distributions, which have libc as a package and no
# crates for the tests: it takes those out of Cargo.toml, and writes Cargo.lock anew. Environment: CARGO.
set -eu
cd "$1"
awk '/^\[/ { other = /dependencies\]$/ && !/^\[dependencies\]$/ } !other' Cargo.toml >Cargo.toml.new
mv Cargo.toml.new Cargo.toml
cat >>.cargo/config.toml <<TOML

[source.crates-io]
replace-with = "here"

[source.here]
directory = "$2"
TOML
rm -f Cargo.lock
"${CARGO:-cargo}" generate-lockfile --offline
