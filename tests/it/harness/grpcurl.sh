#!/usr/bin/env bash
# Replaces grpcurl in the commands of the documents: reads the flags that they use and runs the equivalent `buf curl`, the gRPC
# client that scripts/test installs. Both get the types from the server's reflection.
set -euo pipefail

buf='@buf@'
flags=() data=() scheme=http target='' what=''
while [ $# -gt 0 ]; do
    case "$1" in
    -plaintext) ;;
    -H) flags+=(-H "$2" --reflect-header '*') && shift ;;
    -cacert | -cert | -key) flags+=("-$1" "$2") scheme=https && shift ;;
    -d) data=(-d "$2") && shift ;;
    -*) echo "grpcurl: the stand-in does not know $1" >&2 && exit 2 ;;
    *) if [ -z "$target" ]; then target=$1; else what="$what $1"; fi ;;
    esac
    shift
done
case "$target" in
localhost:8080 | localhost:18080 | localhost:20900) target='@server@' ;;
127.0.0.1:18443) target='@mutual@' ;;
esac

call=("$buf" curl --protocol grpc "${flags[@]}")
# TLS negotiates HTTP/2.
[ $scheme = https ] || call+=(--http2-prior-knowledge)
read -r first second <<<"$what"
if [ "$first" != list ]; then
    "${call[@]}" "${data[@]}" "$scheme://$target/$first"
elif [ -z "$second" ]; then
    "${call[@]}" --list-services "$scheme://$target"
else
    "${call[@]}" --list-methods "$scheme://$target" | grep "^$second/" | tr / .
fi
