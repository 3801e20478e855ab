# shellcheck shell=bash disable=SC2034 # read by scripts/peers
about='a client of gRPC and gRPC-Web for Node (npm @connectrpc/connect-node 2.3.0)'

install_here() {
    npm_install @connectrpc/connect@2.3.0 @connectrpc/connect-node@2.3.0 @bufbuild/protobuf@2.17.0
}
