-- Revokes default rights that the login of sqlproxy does not need: temporary tables and functions, large objects, and
-- advisory locks (with which a login could block `make migrate`). It also limits the connections of the login.
--
-- Run this script once as a superuser: psql --dbname=DATABASE --file=deploy/restrict-login.sql
--
-- Postgres grants these rights to PUBLIC, so they can only be revoked from all roles at once, except superusers and the
-- owner of the database. Do not run this script if other applications in the database need these rights. For this
-- reason no migration does the same.

DO $$
DECLARE
    routine REGPROCEDURE;
    owner REGROLE := (SELECT datdba::REGROLE FROM pg_database WHERE datname = current_database());
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    FOR routine IN
        SELECT oid::REGPROCEDURE FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::REGNAMESPACE AND proname ~ '^(lo_|loread$|lowrite$|pg_(try_)?advisory_)'
        -- Skip lo_import and lo_export, which read and write files of the server: only superusers may call them.
        AND has_function_privilege('public', oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', routine);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', routine, owner);
    END LOOP;
END
$$;

-- Twice the pool of deploy/sqlproxy.service, so that a new sqlproxy can start before the old one ends.
ALTER ROLE sqlproxy CONNECTION LIMIT 40;
