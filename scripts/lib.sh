# What the scripts share: where the repository is, messages, missing tools. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Runs a command in a process group of its own, so that a signal which reaches this script ends all of it, and the traps
# of the script run. A plain foreground command would make bash wait for it before it looks at the signal.
run_child() {
    set -m
    "$@" &
    child=$!
    set +m
    trap 'kill -TERM -- "-$child" 2>/dev/null || true' INT TERM HUP
    local status=0
    wait "$child" || status=$?
    # A wait that a signal cut short says nothing of the command; the second one collects it.
    if kill -0 "$child" 2>/dev/null; then
        wait "$child" || status=$?
    fi
    trap - INT TERM HUP
    return "$status"
}

# install_debian PACKAGE...: with apt where that is possible; otherwise says what to install and fails.
install_debian() {
    if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
        say "missing: $*"
        say "install it with: sudo apt-get install --no-install-recommends $*"
        say "(or what your system calls it) and run this again"
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

# need COMMAND PACKAGE...: the command is there, or its packages are installed.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null || install_debian "$@"
}

# start_dev PROGRAM DIRECTORY [VARIABLE=VALUE...]: a `tenantry dev` that nobody has used yet, on a free port of the loopback,
# with its data in DIRECTORY/data. Sets `origin`, its URL; stop_dev ends it.
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
    die "the server does not start"
}

# Ends the server that start_dev has started, if it has.
stop_dev() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=''
}
