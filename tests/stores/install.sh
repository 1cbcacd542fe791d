#!/usr/bin/env bash
# Installs PostgreSQL and PgBouncer where they are missing and it may, without a database of its own: `make store-tools`.
set -euo pipefail
cd "$(dirname "$0")/../.."
if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && command -v /usr/sbin/pgbouncer >/dev/null; then
    exit
fi
if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
    echo 'PostgreSQL or PgBouncer is missing, which are in the packages postgresql and pgbouncer of Debian: install them first.' >&2
    exit 1
fi
# The package would make a database, and start its server.
settings=/etc/postgresql-common/createcluster.conf
mkdir -p "$(dirname "$settings")"
grep -qs '^create_main_cluster' "$settings" || echo 'create_main_cluster = false' >> "$settings"
apt-get update -q
# What the user changed in the file stays.
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold postgresql pgbouncer
