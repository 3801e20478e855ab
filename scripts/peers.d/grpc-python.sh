# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='gRPC for Python, with its reflection client (PyPI grpcio and grpcio-reflection 1.85.1)'

install_here() {
    pip_install "$definitions/grpc-python.txt"
}
