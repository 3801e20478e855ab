-- The first migration of every database of a tenant. It runs as the owner of the database, as which the logins of programs act, too.

-- Other roles of the server get nothing unless the owner grants it, even if an administrator lets them connect.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;

COMMENT ON SCHEMA tenantry IS 'The applied migrations of the installation. Do not change it.';
