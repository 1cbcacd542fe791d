#!/usr/bin/env bash
# Whether the public API is compatible with that of the last release, by the rules of semantic versioning: `make semver`.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! last=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
    echo 'There is no tag of a release yet, so there is no API to compare with.'
    exit
fi
exec scripts/tool.sh cargo-semver-checks semver-checks check-release --workspace --all-features --baseline-rev "$last"
