#!/usr/bin/env bash
# Builds the published crates with the lowest versions of their dependencies that their manifests admit: `make minimal-versions`.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=$("$cargo" metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# A copy without dev-dependencies, which nobody gets who depends on a crate, and without all that is not published.
copy=$target/minimal-versions
rm -rf "$copy"
mkdir -p "$copy"
cp -RL crates "$copy/crates"
sed 's|^members = .*|members = ["crates/*"]|; /^exclude = /d' Cargo.toml > "$copy/Cargo.toml"
for manifest in "$copy"/crates/*/Cargo.toml; do
    awk '/^\[/ { dev = $0 == "[dev-dependencies]" } !dev' "$manifest" > "$manifest.new"
    mv "$manifest.new" "$manifest"
done

# Only what the manifests name is taken at its lowest: what those crates need of others is their promise. A stable cargo has to be told that it may.
RUSTC_BOOTSTRAP=1 "$cargo" generate-lockfile -Z direct-minimal-versions --manifest-path "$copy/Cargo.toml"
for features in --all-features --no-default-features; do
    "$cargo" check --quiet --locked --workspace "$features" --manifest-path "$copy/Cargo.toml" --target-dir "$target/minimal"
done
echo 'The lowest versions build.'
