#!/usr/bin/env bash
# Replaces grpcurl in the commands of the documents: reads the flags that they use and runs the equivalent `buf curl`, the gRPC
# client that scripts/test installs. Both get the types from the server's reflection.
set -euo pipefail

buf='@buf@'
flags=() data=() target='' what=''
while [ $# -gt 0 ]; do
    case "$1" in
    -plaintext) ;;
    -H) flags+=(-H "$2" --reflect-header '*') && shift ;;
    -d) data=(-d "$2") && shift ;;
    -*) echo "grpcurl: the stand-in does not know $1" >&2 && exit 2 ;;
    *) if [ -z "$target" ]; then target=$1; else what="$what $1"; fi ;;
    esac
    shift
done
case "$target" in
localhost:8080 | localhost:18080 | localhost:20900) target='@server@' ;;
esac

call=("$buf" curl --protocol grpc --http2-prior-knowledge "${flags[@]}")
read -r first second <<<"$what"
if [ "$first" != list ]; then
    "${call[@]}" "${data[@]}" "http://$target/$first"
elif [ -z "$second" ]; then
    "${call[@]}" --list-services "http://$target"
else
    "${call[@]}" --list-methods "http://$target" | grep "^$second/" | tr / .
fi
