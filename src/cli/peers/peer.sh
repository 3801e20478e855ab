# Runs a server with its data in a new directory, until standard input ends, and removes the directory. Arguments: the kind, the program or
# the directory of the programs, the new directory, and a port. The first line of the input is the password of PostgreSQL's login.
set -eu
umask 077
kind=$1 program=$2 dir=$3 port=$4
IFS= read -r password
exec 3<&0 0</dev/null
server=
end() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill "-$signal" "$server" 2>/dev/null || :
        wait "$server" || :
    fi
    [ "$status" -eq 0 ] || tail -n 5 "$dir/log" >&2 || :
    cd /
    rm -rf "$dir"
}
mkdir "$dir"
trap end EXIT
# The reader of an output may have ended.
trap '' PIPE
trap 'exit 1' HUP INT TERM
cd "$dir"
case $kind in
postgres)
    # An immediate shutdown: the data is not needed.
    signal=QUIT
    "$program/initdb" -D data -U postgres -A reject -E UTF8 --locale=C --no-sync >log 2>&1
    cat >>data/postgresql.conf <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
fsync = off
full_page_writes = off
CONF
    # The superuser has no password, and cannot log in.
    echo 'host all all 127.0.0.1/32 scram-sha-256' >data/pg_hba.conf
    printf "CREATE ROLE provisioner LOGIN PASSWORD '%s' CREATEDB CREATEROLE\n" "$password" |
        "$program/postgres" --single -D data postgres >>log 2>&1
    "$program/postgres" -D data >>log 2>&1 3<&- &
    ;;
openbao)
    signal=TERM
    cat >server.hcl <<CONF
storage "inmem" {}
listener "tcp" {
  address = "127.0.0.1:$port"
  tls_disable = true
}
api_addr = "http://127.0.0.1:$port"
CONF
    HOME=$dir "$program" server -config=server.hcl >log 2>&1 3<&- &
    ;;
esac
server=$!
(
    IFS= read -r _ <&3 || :
    kill "-$signal" "$server"
) 2>/dev/null &
wait "$server"
