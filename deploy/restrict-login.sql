-- Takes rights from the login of the data proxy that every role of a database has by default: temporary tables and
-- functions, large objects, advisory locks (with which a login could block `make migrate`), any number of connections.
--
-- Run it once as a superuser, connected to the database: psql --dbname=DATABASE --file=deploy/restrict-login.sql
--
-- Postgres grants these rights to PUBLIC, so they can only be taken from all roles of the database at once, except
-- superusers and the owner of the database. That is why no migration does it: do not run this where other applications
-- share the database and need them.

DO $$
DECLARE
    routine REGPROCEDURE;
    owner REGROLE := (SELECT datdba::REGROLE FROM pg_database WHERE datname = current_database());
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    FOR routine IN
        SELECT oid::REGPROCEDURE FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::REGNAMESPACE AND proname ~ '^(lo_|loread$|lowrite$|pg_(try_)?advisory_)'
        -- Not what only superusers may run: lo_import and lo_export read and write files of the server.
        AND has_function_privilege('public', oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', routine);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', routine, owner);
    END LOOP;
END
$$;

-- Twice the pool of deploy/sqlproxy.service, so that a new sqlproxy can start before the old one ends.
ALTER ROLE sqlproxy CONNECTION LIMIT 40;
