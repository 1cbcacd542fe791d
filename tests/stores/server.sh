#!/usr/bin/env bash
# Runs a server in a folder until the standard input of this script ends, however its test ended, and takes the folder away:
#
#     server.sh postgres FOLDER
#     server.sh standby FOLDER PRIMARY    a replica of the server in the folder PRIMARY
#     server.sh pgbouncer FOLDER PRIMARY  in transaction mode, with two connections to the server in the folder PRIMARY
#
# Servers are reached by a socket in their folder alone, so that no port is taken.
set -euo pipefail
kind=$1 folder=$2 primary=${3:-}
# Of a terminal: the test ends by it, and with it the standard input.
trap '' INT

programs=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
programs=${programs:+$programs/}
# Neither server runs as root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --init-groups)
    chown postgres:postgres "$folder"
fi
cd "$folder"

serve() {
    # What it has is gone with the folder anyway.
    "${as[@]}" "${programs}postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=300 \
        >"$folder/log" 2>&1 &
}

case $kind in
postgres)
    "${as[@]}" "${programs}initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1
    serve
    ;;
standby)
    "${as[@]}" "${programs}pg_basebackup" -h "$primary" -U postgres -D "$folder/data" --write-recovery-conf --checkpoint=fast --no-sync >"$folder/log" 2>&1
    serve
    ;;
pgbouncer)
    cat >"$folder/settings" <<SETTINGS
[databases]
* = host=$primary user=postgres
[pgbouncer]
unix_socket_dir = $folder
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 300
SETTINGS
    "${as[@]}" /usr/sbin/pgbouncer "$folder/settings" >"$folder/log" 2>&1 &
    ;;
esac
server=$!
cat >/dev/null || true
case $kind in
pgbouncer) kill -TERM "$server" || true ;;
# At once, whatever is connected.
*) kill -QUIT "$server" || true ;;
esac
wait "$server" || true
rm -rf "$folder"
