-- A role that can do one thing, whatever statement it is given: sign a user up. It cannot read the table, so a token of
-- the proxy that runs as it opens nothing (but for the row of a request whose idempotency key one has). Give it to the login that the proxy uses:
-- CREATE ROLE sqlproxy LOGIN PASSWORD '...' IN ROLE signup_worker

-- The function runs as its owner, so what its names mean must not depend on who calls it: not on the caller's path, and
-- not on the caller's temporary tables, which are looked at first unless they are named last.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- CreateFunction
-- sign_up(name, email, password, key) is safe to repeat. "key" is the SHA-256 of an idempotency key, in hexadecimal. It
-- returns one row: the new user, whose password is null, or the user that a request with this key made, with all that is
-- needed to tell whether that request was the same. It returns none when the address is taken. A key counts for 24 hours.
--
-- Each statement below sees what was committed before it, which one statement of SQL would not: a request that waited for
-- its twin must then find the twin's row. ON CONFLICT rather than the error 23505, which would write the address into the
-- server's log and into whatever log a proxy keeps.
CREATE FUNCTION "sign_up"(TEXT, TEXT, TEXT, TEXT)
RETURNS TABLE ("id" INTEGER, "name" TEXT, "email" TEXT, "password" TEXT, "created_at" TIMESTAMPTZ)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    LOOP
        RETURN QUERY
            INSERT INTO "User" ("name", "email", "password", "idempotency_key")
            VALUES ($1, $2, $3, decode($4, 'hex'))
            ON CONFLICT DO NOTHING
            RETURNING "User"."id", "User"."name", "User"."email", NULL::TEXT, "User"."created_at"::TIMESTAMPTZ;
        EXIT WHEN FOUND;
        RETURN QUERY
            SELECT "id", "name", "email", "password", "created_at"::TIMESTAMPTZ FROM "User"
            WHERE "idempotency_key" = decode($4, 'hex') AND "created_at" > now() - INTERVAL '24 hours';
        EXIT WHEN FOUND;
        UPDATE "User" SET "idempotency_key" = NULL WHERE "idempotency_key" = decode($4, 'hex');
        -- Without a key that has expired, it is the address that is taken.
        EXIT WHEN NOT FOUND;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION "sign_up" FROM PUBLIC;

-- CreateRole
-- Roles belong to the server and not to the database, so it may be there. Where we may not make one, as at some hosts,
-- the owner goes on using the function.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'signup_worker') THEN
        CREATE ROLE "signup_worker" NOLOGIN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO "signup_worker"', current_schema());
    GRANT EXECUTE ON FUNCTION "sign_up" TO "signup_worker";
EXCEPTION
    WHEN insufficient_privilege THEN RAISE NOTICE 'the role signup_worker was not made: no right to make roles';
    -- Two databases of one server, migrated at once.
    WHEN duplicate_object OR unique_violation THEN RAISE EXCEPTION 'the role was made meanwhile, try again';
END
$$;

RESET search_path;
