# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='command line of Quack on Demand, a client of the warehouse surface (PyPI qod 0.10.1)'

install_here() {
    pip_install "$definitions/qod.txt"
}
