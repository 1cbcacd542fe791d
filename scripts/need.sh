#!/usr/bin/env bash
# Installs a program that Debian's package of its name has. Does nothing where it is there.
set -euo pipefail
program=$1

command -v "$program" >/dev/null && exit
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$program"
else
    echo "$program is missing, which is Debian's package of that name: install it first." >&2
    exit 1
fi
