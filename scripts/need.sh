#!/usr/bin/env bash
# Installs a program that a package of Debian has: `need.sh PROGRAM [PACKAGE]`, where they differ in name. Does nothing where it is there.
set -euo pipefail
program=$1
package=${2:-$program}

command -v "$program" >/dev/null && exit
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package"
else
    echo "$program is missing, which is in Debian's package $package: install it first." >&2
    exit 1
fi
