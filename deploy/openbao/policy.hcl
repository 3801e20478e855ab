# What a Tenantry server may do in OpenBAO, and nothing else. deploy/openbao/bootstrap.sh writes it as the policy "tenantry".
# The built-in policy "default", which tokens have as well, is not needed: everything is listed here.

# Its own token.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}

# The health check reads whether the database engine is enabled.
path "sys/mounts/database" {
  capabilities = ["read"]
}

# The connections and roles of the databases of tenants.
path "database/config/*" {
  capabilities = ["create", "read", "update", "delete"]
}
path "database/roles/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Logins, and their leases.
path "database/creds/*" {
  capabilities = ["read"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/revoke" {
  capabilities = ["update"]
}
# OpenBAO requires sudo for this path. It is only for leases of database roles.
path "sys/leases/revoke-prefix/database/creds/*" {
  capabilities = ["update", "sudo"]
}
