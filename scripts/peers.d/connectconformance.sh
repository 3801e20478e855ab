# shellcheck shell=bash disable=SC2034 # read by scripts/peers
about='conformance suite for gRPC and gRPC-Web, of the ConnectRPC project (Go, connectrpc.com/conformance 1.0.7)'

install_here() {
    go_install 1.24 connectrpc.com/conformance/cmd/connectconformance@v1.0.7
}
