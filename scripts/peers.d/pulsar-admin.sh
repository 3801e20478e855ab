# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='admin client for Apache Pulsar, with the tests in its package (PyPI pulsar-admin 0.0.2)'

install_here() {
    pip_install "$definitions/pulsar-admin.txt"
}
