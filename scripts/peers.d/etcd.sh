# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='etcd 3.6.8, a key-value store (Go, go.etcd.io/etcd/server/v3), for scripts/bench peers'

install_here() {
    # Its module replaces others by relative paths, so that `go install` refuses it; go.mod and go.sum pin all modules.
    go_build 1.26 "$definitions/etcd.go.mod" "$definitions/etcd.go.sum" etcd=go.etcd.io/etcd/server/v3
}
