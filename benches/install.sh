#!/usr/bin/env bash
# Installs what counts instructions: `make counts`. Does nothing where all of it is there.
set -euo pipefail
cd "$(dirname "$0")"
cargo=${CARGO:-cargo}

../scripts/need.sh valgrind

# The runner has to be of the library's version, and is beside what cargo builds, not with your programs.
version=$(sed -n '/^name = "gungraun"$/{n;s/^version = "\(.*\)"$/\1/p}' ../Cargo.lock)
target=$("$cargo" metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
if [ "$("$target/tools/bin/gungraun-runner" --version 2>/dev/null)" != "gungraun-runner $version" ]; then
    "$cargo" install --quiet gungraun-runner --version "=$version" --locked --root "$target/tools" --target-dir "$target/tools/build"
fi
