# Shared functions of the scripts: paths, messages, installation of tools. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Runs a command in its own process group, so that a signal to this script ends the whole group and the traps of the
# script run. With a plain foreground command, bash would handle the signal only after the command has ended.
run_child() {
    set -m
    "$@" &
    child=$!
    set +m
    trap 'kill -TERM -- "-$child" 2>/dev/null || true' INT TERM HUP
    local status=0
    wait "$child" || status=$?
    # The status of an interrupted wait is not that of the command; wait again for it.
    if kill -0 "$child" 2>/dev/null; then
        wait "$child" || status=$?
    fi
    trap - INT TERM HUP
    return "$status"
}

# install_debian PACKAGE...: installs with apt if possible; otherwise prints what to install and fails.
install_debian() {
    if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
        say "missing: $*"
        say "install it with: sudo apt-get install --no-install-recommends $*"
        say "(or the equivalent of your system) and run this again"
        return 1
    fi
    say "installing with apt: $*"
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
        apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >&2 || {
            say "apt could not install: $*"
            return 1
        }
    fi
}

# need COMMAND PACKAGE...: installs the packages if the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null || install_debian "$@"
}

# start_dev PROGRAM DIRECTORY [VARIABLE=VALUE...]: starts a new `tenantry dev` on a free loopback port, with its data in
# DIRECTORY/data. Sets `origin` to its URL; stop_dev stops it.
server=''
origin=''
start_dev() {
    local program=$1 dir=$2
    shift 2
    env -i PATH="$PATH" HOME="$dir" "$@" "$program" dev --listen 127.0.0.1:0 --data-dir "$dir/data" \
        >"$dir/server.out" 2>"$dir/server.log" &
    server=$!
    for _ in $(seq 600); do
        origin=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$dir/server.out" | head -n 1) || true
        [ -z "$origin" ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$dir/server.out" "$dir/server.log" >&2
    die "the server did not start"
}

# Stops the server of start_dev, if there is one.
stop_dev() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=''
}
