#!/usr/bin/env bash
# Runs a tool that is written in Rust, in the version that scripts/tools.txt names, and installs that version first where it is missing:
# `tool.sh CRATE ARGUMENT...`. It is beside what cargo builds, not with your programs.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cargo=${CARGO:-cargo}
crate=${1:?which tool?}
shift

version=$(sed -n "s/^$crate //p" "$here/tools.txt")
[ -n "$version" ] || { echo "$crate is not in scripts/tools.txt" >&2; exit 1; }
target=$("$cargo" metadata --manifest-path "$here/../Cargo.toml" --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
root=$target/tools
if ! grep -qs "^\"$crate $version " "$root/.crates.toml"; then
    # What is built on the way takes much room.
    "$cargo" install --quiet "$crate" --version "=$version" --locked --root "$root" --target-dir "$root/build-$crate"
    rm -rf "$root/build-$crate"
fi
# Those that find others by the search path find the same versions.
PATH=$root/bin:$PATH exec "$root/bin/$crate" "$@"
