#!/usr/bin/env bash
# Prepares OpenBAO for Tenantry, and prints a credential for the server. See --help.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: BAO_ADDR=URL BAO_TOKEN=TOKEN deploy/openbao/bootstrap.sh [token | approle]

Enables the database secrets engine and writes the policy of the server (policy.hcl, beside this script), as far as they are
missing. It can be repeated: nothing that exists is disabled or deleted. Then it creates a credential and prints only that:

  token     an orphan, periodic token, valid for 32 days after each renewal, for TENANTRY_OPENBAO_TOKEN_FILE (the default)
  approle   the role id in the first line, for TENANTRY_OPENBAO_ROLE_ID, and a wrapped secret id in the second, for
            TENANTRY_OPENBAO_WRAPPED_SECRET_ID_FILE. It can be unwrapped once, within ten minutes

Environment:
  BAO_ADDR        address of OpenBAO, such as https://openbao.example.com:8200
  BAO_TOKEN       a token that may write policies, enable engines and create tokens or roles
  BAO_NAMESPACE   a namespace, which must exist
  BAO_CACERT      a file with the authority of the certificate
  POLICY          name of the policy and of the role (tenantry)
  KEK             name of a key of the transit engine, for TENANTRY_KEK=openbao:NAME. Enables the engine, creates the key and
                  allows the server to encrypt and decrypt with it. Without KEK, the policy does not have it

Needs curl.
HELP
}

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

kind=${1:-token}
case $kind in
-h | --help)
    usage
    exit 0
    ;;
token | approle) ;;
*)
    usage >&2
    exit 2
    ;;
esac
[ $# -le 1 ] || {
    usage >&2
    exit 2
}
[ -n "${BAO_ADDR-}" ] || die "BAO_ADDR is not set"
[ -n "${BAO_TOKEN-}" ] || die "BAO_TOKEN is not set"
command -v curl >/dev/null || die "curl is missing"
policy=${POLICY:-tenantry}
[[ $policy =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || die "POLICY must have only letters, digits, dashes and underscores"
kek=${KEK-}
[[ $kek =~ ^([A-Za-z0-9][A-Za-z0-9_-]*)?$ ]] || die "KEK must have only letters, digits, dashes and underscores"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The response of the last call.
status=
body=

# call METHOD PATH [BODY [HEADER]]: makes a call. The token and the body are not in the arguments of curl, which other users can
# read.
call() {
    local output
    output=$(
        {
            printf 'header = "X-Vault-Token: %s"\n' "$BAO_TOKEN"
            [ -z "${BAO_NAMESPACE-}" ] || printf 'header = "X-Vault-Namespace: %s"\n' "$BAO_NAMESPACE"
            [ -z "${4-}" ] || printf 'header = "%s"\n' "$4"
            [ -z "${BAO_CACERT-}" ] || printf 'cacert = "%s"\n' "$BAO_CACERT"
        } | curl --silent --show-error --max-time 30 --config - --request "$1" --write-out '\n%{http_code}' \
            ${3:+--data-binary "$3"} "${BAO_ADDR%/}/v1/$2"
    ) || die "OpenBAO at $BAO_ADDR cannot be reached"
    status=${output##*$'\n'}
    body=${output%$'\n'*}
}

# refused WHAT: ends with the text of the last response.
refused() {
    die "cannot $1: status $status: $body"
}

# field NAME: a text in the last response.
field() {
    printf '%s' "$body" | sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"
}

# mount WHAT PATH TYPE: enables an engine or an authentication method unless something is enabled there.
mount() {
    call POST "$2" "{\"type\":\"$3\"}"
    case $status in
    204 | 200) say "enabled $1" ;;
    400) [[ $body == *"path is already in use"* ]] || refused "enable $1" ;;
    *) refused "enable $1" ;;
    esac
}

# A text as a JSON string.
quoted() {
    printf '"%s"' "$(sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' | awk '{ printf "%s\\n", $0 }')"
}

mount "the database secrets engine" sys/mounts/database database

if [ -n "$kek" ]; then
    mount "the transit secrets engine" sys/mounts/transit transit
    # An existing key is not changed.
    call POST "transit/keys/$kek" '{"type":"aes256-gcm96"}'
    [[ $status = 20? ]] || refused "create the key $kek"
fi

# The policy.
rights() {
    cat "$here/policy.hcl"
    [ -z "$kek" ] || sed "/^path/s/KEY/$kek/" "$here/transit.hcl"
}

call PUT "sys/policies/acl/$policy" "{\"policy\":$(rights | quoted)}"
[ "$status" = 204 ] || refused "write the policy $policy"
say "wrote the policy $policy"

case $kind in
token)
    call POST auth/token/create \
        "{\"policies\":[\"$policy\"],\"no_default_policy\":true,\"period\":\"768h\",\"no_parent\":true,\"display_name\":\"tenantry\"}"
    [ "$status" = 200 ] || refused "create the token"
    token=$(field client_token)
    [ -n "$token" ] || refused "read the token"
    printf '%s\n' "$token"
    ;;
approle)
    # Leases end with the token that made them. One that a server leaves at its end is valid for at least a third of its period, and so
    # for longer than a lease, which ends within a day.
    mount "logins with a role" sys/auth/approle approle
    call POST "auth/approle/role/$policy" \
        "{\"token_policies\":[\"$policy\"],\"token_no_default_policy\":true,\"token_period\":\"96h\",\"secret_id_ttl\":\"0\",\"secret_id_num_uses\":0}"
    [ "$status" = 204 ] || refused "write the role $policy"
    say "wrote the role $policy"
    call GET "auth/approle/role/$policy/role-id"
    [ "$status" = 200 ] || refused "read the role id"
    role_id=$(field role_id)
    call POST "auth/approle/role/$policy/secret-id" '{}' 'X-Vault-Wrap-TTL: 10m'
    [ "$status" = 200 ] || refused "create the secret id"
    wrapped=$(field token)
    [ -n "$role_id" ] && [ -n "$wrapped" ] || refused "read the secret id"
    printf '%s\n%s\n' "$role_id" "$wrapped"
    ;;
esac
