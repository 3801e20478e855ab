# The key that seals data keys (TENANTRY_KEK=openbao:KEY). deploy/openbao/bootstrap.sh adds this to the policy if KEK is set, with the
# name of the key in place of KEY. Neither allows to create, export, rotate or delete it.
path "transit/encrypt/KEY" {
  capabilities = ["update"]
}
path "transit/decrypt/KEY" {
  capabilities = ["update"]
}
