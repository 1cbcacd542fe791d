#!/usr/bin/env bash
# Installs what the servers are loaded with. Does nothing where it is there.
set -euo pipefail

# Debian's package is called as the program is; `taskset` is of util-linux, which every Debian has.
command -v wrk >/dev/null && exit
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends wrk
else
    echo "benches/servers needs wrk, as Debian calls it: install it first." >&2
    exit 1
fi
