# shellcheck shell=bash disable=SC2034 # read by scripts/peers
about='grpcurl 1.9.4, grpc-health-probe 0.4.63 and ghz 0.93.0: gRPC command-line clients (Go)'

install_here() {
    go_install 1.24 github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 \
        github.com/grpc-ecosystem/grpc-health-probe@v0.4.63 github.com/bojand/ghz/cmd/ghz@v0.93.0
}
