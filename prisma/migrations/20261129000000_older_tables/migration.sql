-- Sign-ups in a table that another application made: its types, its required columns, its addresses in mixed case, its
-- imported ids. The table of a new project changes in nothing but an index that stays empty.

-- AlterTable
-- Prisma's client fills in @updatedAt, and gives the column no default.
DO $$
DECLARE
    "name" TEXT;
BEGIN
    FOR "name" IN
        SELECT attname FROM pg_attribute
        WHERE attrelid = '"User"'::regclass AND attname IN ('updatedAt', 'updated_at') AND attnotnull AND NOT atthasdef
          AND atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype)
    LOOP
        EXECUTE format('ALTER TABLE "User" ALTER COLUMN %I SET DEFAULT CURRENT_TIMESTAMP', "name");
    END LOOP;
END
$$;

-- Rows that were imported with their ids leave the sequence behind them.
DO $$
DECLARE
    "sequence" TEXT := pg_get_serial_sequence('"User"', 'id');
    "last" BIGINT;
BEGIN
    IF "sequence" IS NOT NULL THEN
        EXECUTE format('SELECT last_value FROM %s', "sequence") INTO "last";
        PERFORM setval("sequence", max("id")) FROM "User" HAVING max("id") > "last";
    END IF;
END
$$;

-- CreateIndex
-- Addresses that an older application stored as they were typed. The index holds no others, and is empty after
-- `make adopt`. Prisma neither shows nor removes an index on an expression.
CREATE INDEX "User_email_lower_idx" ON "User"(lower("email"::TEXT)) WHERE "email"::TEXT <> lower("email"::TEXT);

-- CreateFunction
-- As before, with three differences. An address is taken in whatever case it is stored. Only the address, and no other
-- unique index, makes it taken: another one is an error that names it, without the row. And the values go into columns
-- of whatever text type, and come back as text.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- A function cannot be replaced by one that returns another type. Where it can, its callers notice nothing.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = '"User"'::regclass AND attname = 'id' AND atttypid <> 'integer'::regtype
    ) THEN
        DROP FUNCTION "sign_up"(TEXT, TEXT, TEXT, TEXT);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION "sign_up"(TEXT, TEXT, TEXT, TEXT)
RETURNS TABLE ("id" "User"."id"%TYPE, "name" TEXT, "email" TEXT, "password" TEXT, "created_at" TIMESTAMPTZ)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
#variable_conflict use_column
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
        PERFORM FROM "User" WHERE "email" = "address";
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
        CONTINUE WHEN "violated" IN ('User_email_key', 'User_idempotency_key_key');
        EXIT;
    END LOOP;
    -- Without the row, which the server would write into its log.
    RAISE unique_violation USING MESSAGE = 'a unique index other than that of the address', CONSTRAINT = "violated";
END
$$;
REVOKE ALL ON FUNCTION "sign_up" FROM PUBLIC;

DO $$
BEGIN
    GRANT EXECUTE ON FUNCTION "sign_up" TO "signup_worker";
EXCEPTION
    WHEN undefined_object THEN RAISE NOTICE 'there is no role signup_worker';
    WHEN insufficient_privilege THEN RAISE NOTICE 'no right to grant to signup_worker';
END
$$;

RESET search_path;
