# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='the service of benches/transcoder behind vanguard-go 0.4.0 and grpc-gateway 2.33.0 (Go), for scripts/bench peers'
sources=(benches/peers benches/transcoder/proto)

install_here() {
    local code=$root/benches/peers protos=$home/proto
    mkdir -p "$protos/google" && cp -r "$root/benches/transcoder/proto/fleet" "$protos" &&
        cp -r "$root/proto/google/api" "$protos/google" && cp "$code"/*.go "$home" || return 1
    go_build 1.26 "$code/go.mod" "$code/go.sum" protoc-gen-go=google.golang.org/protobuf/cmd/protoc-gen-go \
        protoc-gen-go-grpc=google.golang.org/grpc/cmd/protoc-gen-go-grpc \
        protoc-gen-connect-go=connectrpc.com/connect/cmd/protoc-gen-connect-go \
        protoc-gen-grpc-gateway=github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway || return 1
    (cd "$home" && PATH=$home/bin:$PATH "$root/scripts/buf" generate --template "$code/buf.gen.yaml" \
        --path proto/fleet proto >&2) || {
        say "buf could not generate the code of the service"
        return 1
    }
    go_build 1.26 "$code/go.mod" "$code/go.sum" go-transcoders=.
}
