#!/usr/bin/env bash
# Installs what the tests of this folder run against: `make interop-tools`. Does nothing where all of it is there.
set -euo pipefail
cd "$(dirname "$0")"

# The programs, as Debian's packages where that can be done.
has_node() { command -v node >/dev/null && command -v npm >/dev/null; }
has_python() { command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null; }
missing=()
has_node || missing+=(nodejs npm)
has_python || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    else
        echo "tests/interop needs ${missing[*]}, as Debian calls them: install them first." >&2
        exit 1
    fi
fi
if ! node --eval "URL.parse('a:'); crypto.subtle" 2>/dev/null; then
    echo "tests/interop needs a newer Node.js than $(node --version): the last 20, or 22 and up." >&2
    exit 1
fi

# npm writes this file last.
if [ ! provider/node_modules/.package-lock.json -nt provider/package-lock.json ]; then
    (cd provider && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    touch provider/node_modules/.package-lock.json
fi

if [ ! .venv/installed -nt python/requirements.txt ]; then
    python3 -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r python/requirements.txt
    touch .venv/installed
fi
