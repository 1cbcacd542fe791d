#!/usr/bin/env bash
# Runs every benchmark and writes RESULTS.md. `make bench` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
export CARGO="$cargo"
# What the project has built is used again.
CARGO_TARGET_DIR=$("$cargo" metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
export CARGO_TARGET_DIR

results=$(mktemp)
trap 'rm -f "$results"' EXIT
scripts/need.sh redis-server
scripts/need.sh wrk
tests/stores/install.sh
"$cargo" build --quiet --locked --release -p portcullis-fleet-tests --bins
run() { "$cargo" run --quiet --locked --release "$@"; }

{
    echo '# Results'
    echo
    echo "Written by \`make bench\`, $(date -u +%Y-%m-%d), at commit $(git rev-parse --short HEAD). What the tables mean is in"
    echo '[README.md](README.md), [peers](peers/README.md) and [servers](servers/README.md).'
    echo
    run -p portcullis-benches --bin compare
    echo
    echo '## Allocations and memory'
    echo
    run -p portcullis-benches --bin allocations
    echo
    echo '## Revocation'
    echo
    run -p portcullis-benches --bin revocation
    echo
    run -p portcullis-fleet-tests --bin latency
    echo
    echo '## Proofs of a key'
    echo
    run -p portcullis-benches --bin dpop
    run -p portcullis-benches --bin mtls
    echo
    run -p portcullis-fleet-tests --bin spend
    echo
    echo '## Sessions'
    echo
    run -p portcullis-stores-tests --example sessions
    echo
    echo '## Instructions'
    echo
    run -p portcullis-benches --bin counts || echo 'Some path costs more than recorded.'
    echo
    run --manifest-path benches/peers/Cargo.toml -p minting
    echo
    run --manifest-path benches/peers/Cargo.toml -p proofs
    echo
    run --manifest-path benches/peers/Cargo.toml -p driver
    echo
    benches/servers/run.sh
    echo
    echo '## Each by itself'
    echo
    echo '```text'
    "$cargo" bench --locked -p portcullis-benches --bench verification --bench refusals --bench adapters --bench remote 2>/dev/null
    echo '```'
} | tee "$results"
cp "$results" benches/RESULTS.md
