-- A table with a column "address" or "violated". In "sign_up" these names meant the column instead of the variable, so that a
-- sign-up with a taken address was an error. "vars" tells them apart. The function is otherwise unchanged.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- CreateFunction
CREATE OR REPLACE FUNCTION "sign_up"(TEXT, TEXT, TEXT, TEXT)
RETURNS TABLE ("id" "User"."id"%TYPE, "name" TEXT, "email" TEXT, "password" TEXT, "created_at" TIMESTAMPTZ)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
#variable_conflict use_column
<<vars>>
DECLARE
    -- Compared as the column compares, which may be citext.
    "address" "User"."email"%TYPE := $2;
    "violated" TEXT;
BEGIN
    FOR "attempt" IN 1..3 LOOP
        RETURN QUERY
            INSERT INTO "User" ("name", "email", "password", "idempotency_key")
            SELECT $1, $2, $3, decode($4, 'hex')
            WHERE NOT EXISTS (
                SELECT FROM "User"
                WHERE lower("email"::TEXT) = lower($2) AND "email"::TEXT <> lower("email"::TEXT)
            )
            ON CONFLICT DO NOTHING
            RETURNING "User"."id", "User"."name"::TEXT, "User"."email"::TEXT, NULL::TEXT, "User"."created_at"::TIMESTAMPTZ;
        IF FOUND THEN
            RETURN;
        END IF;
        RETURN QUERY
            SELECT "id", "name"::TEXT, "email"::TEXT, "password"::TEXT, "created_at"::TIMESTAMPTZ FROM "User"
            WHERE "idempotency_key" = decode($4, 'hex') AND "created_at" > now() - INTERVAL '24 hours';
        IF FOUND THEN
            RETURN;
        END IF;
        UPDATE "User" SET "idempotency_key" = NULL
        WHERE "idempotency_key" = decode($4, 'hex') AND "created_at" <= now() - INTERVAL '24 hours';
        CONTINUE WHEN FOUND;
        PERFORM FROM "User" WHERE "email" = vars."address";
        IF FOUND THEN
            RETURN;
        END IF;
        PERFORM FROM "User" WHERE lower("email"::TEXT) = lower($2) AND "email"::TEXT <> lower("email"::TEXT);
        IF FOUND THEN
            RETURN;
        END IF;
        -- Neither key nor address keeps the row out. The error says what does.
        BEGIN
            RETURN QUERY
                INSERT INTO "User" ("name", "email", "password", "idempotency_key")
                VALUES ($1, $2, $3, decode($4, 'hex'))
                RETURNING "User"."id", "User"."name"::TEXT, "User"."email"::TEXT, NULL::TEXT, "User"."created_at"::TIMESTAMPTZ;
            IF FOUND THEN
                RETURN;
            END IF;
            RAISE triggered_action_exception USING MESSAGE = 'a trigger or rule of "User" discards new rows';
        EXCEPTION WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS "violated" = CONSTRAINT_NAME;
        END;
        -- Another sign-up was quicker since this one looked, and is found at the next attempt.
        CONTINUE WHEN vars."violated" IN ('User_email_key', 'User_idempotency_key_key');
        EXIT;
    END LOOP;
    -- Without the row, which the server would write into its log.
    RAISE unique_violation USING MESSAGE = 'a unique index other than that of the address', CONSTRAINT = vars."violated";
END
$$;

RESET search_path;
