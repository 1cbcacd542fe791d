#!/usr/bin/env bash
# Whether a dependency has a known vulnerability: `make advisories`. The database is a repository, which an open network brings.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! scripts/tool.sh cargo-deny --locked fetch db; then
    echo
    echo 'NOT CHECKED: the database of advisories cannot be had from here.'
    echo 'Run `make advisories REQUIRED=1` on a machine with an open network before you release.'
    [ -z "${REQUIRED:-}" ]
    exit
fi
exec scripts/tool.sh cargo-deny --locked check --disable-fetch advisories
