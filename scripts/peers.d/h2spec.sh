# shellcheck shell=bash disable=SC2034 # read by scripts/peers
about='conformance suite for HTTP/2 (Go, github.com/summerwind/h2spec 2.2.1)'

install_here() {
    go_install 1.24 github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
}
