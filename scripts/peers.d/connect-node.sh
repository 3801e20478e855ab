# shellcheck shell=bash disable=SC2034 # read by scripts/peers
about='gRPC and gRPC-Web client for Node.js (npm @connectrpc/connect-node 2.3.0)'

install_here() {
    npm_install @connectrpc/connect@2.3.0 @connectrpc/connect-node@2.3.0 @bufbuild/protobuf@2.17.0
}
