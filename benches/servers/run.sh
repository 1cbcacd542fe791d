#!/usr/bin/env bash
# Builds the servers and compares them. Arguments are those of `pairs`: try --help.
set -euo pipefail
cd "$(dirname "$0")"
../../scripts/need.sh wrk

# One at a time, so that none gets features which only another asks for. What the project has built is used again.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../target}"
for package in axum-server actix-web-server jwt-authorizer-server; do
    "${CARGO:-cargo}" build --release --locked -p "$package"
done
"${CARGO:-cargo}" run --release --locked -p pairs -- "$@"
