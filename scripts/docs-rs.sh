#!/usr/bin/env bash
# Builds the pages of the published libraries as they stand on the web, with every feature, and looks whether they say which feature an item
# needs: `make docs-rs`.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=$("$cargo" metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# The folder that tests/api builds in, too: build scripts look at `RUSTC_BOOTSTRAP`, so that this and all else would undo each other.
folder=$target/tmp/api

packages=()
for library in crates/*/src/lib.rs; do
    crate=${library#crates/}
    packages+=(--package "${crate%%/*}")
done
# Only nightly compilers show the features without being told so.
RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS='-D warnings --cfg docsrs' \
    "$cargo" doc --locked --no-deps --lib --all-features --target-dir "$folder" "${packages[@]}"

# shows PAGE FEATURE
shows() {
    if ! grep -qs "Available on.*crate feature.*<code>$2</code>" "$folder/doc/$1"; then
        echo "The page $1 does not say that it needs the feature $2." >&2
        exit 1
    fi
}
shows portcullis/struct.RemoteJwks.html remote-jwks
shows portcullis/struct.StatusLists.html status-list
shows portcullis/config/index.html config
shows portcullis/explain/struct.Explanation.html explain
shows portcullis/struct.Policy.html explain
shows portcullis/metrics/index.html metrics
shows portcullis/revocation/struct.RevocationLookup.html lookup
shows portcullis/openapi/index.html openapi
shows portcullis/tls/struct.AnyClientCertificate.html rustls
shows portcullis_axum/tls/index.html rustls
shows portcullis_actix/tls/index.html rustls
shows portcullis_jsonwebtoken/v12/index.html v12
shows portcullis_testkit/key_server/index.html key-server
shows portcullis_testkit/axum/index.html axum
shows portcullis_testkit/ring_store/index.html ring-store
shows portcullis_testkit/session_store/index.html session-store
shows portcullis_sqlx/postgres/struct.PostgresRing.html postgres
shows portcullis_sqlx/postgres/struct.PostgresSessions.html postgres
shows portcullis_sqlx/sqlite/struct.SqliteRing.html sqlite
shows portcullis_sqlx/sqlite/struct.SqliteSessions.html sqlite
