-- Verified addresses, and messages that are recorded in the transaction of the change that they report. Users that are
-- there keep all that they have: the new columns are null, and a null "verification_expires_at" protects a row from the
-- functions below that replace or remove users. No row is rewritten.

-- AlterTable
ALTER TABLE "User" ADD COLUMN IF NOT EXISTS     "email_verified_at" TIMESTAMPTZ(3),
ADD COLUMN     "verification_expires_at" TIMESTAMPTZ(3),
ADD COLUMN     "reminded_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "Outbox" (
    "id" BIGSERIAL NOT NULL,
    "key" UUID NOT NULL DEFAULT gen_random_uuid(),
    "kind" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "next_attempt_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "dead_at" TIMESTAMPTZ(3),
    "last_error" TEXT,

    CONSTRAINT "Outbox_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "Outbox_dead_at_next_attempt_at_idx" ON "Outbox"("dead_at", "next_attempt_at");

-- CreateIndex
CREATE INDEX "Outbox_user_id_idx" ON "Outbox"("user_id");

-- The functions run as their owner, as "sign_up" does. All parameters are text, because some data proxies send nothing
-- else. Each function may be repeated when its result was lost. "vars" tells a variable from a column of another
-- application's table with the same name.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- CreateFunction
-- sign_up_recorded(name, email, password, key, options) is "sign_up" with messages. Options are JSON:
--   verify    whether the address must be verified within "ttl" seconds: records "verify_email"
--   webhook   whether to record "user.created"
--   conceal   whether the owner of a taken address is notified: records "already_registered", once an hour for each user,
--             or does what "request_verification" does for a user that is not verified
--   language  of the mails
-- A user that was to be verified, and was not in time, is replaced. A repeated request records nothing again.
CREATE FUNCTION "sign_up_recorded"(TEXT, TEXT, TEXT, TEXT, TEXT)
RETURNS TABLE (
    "id" "User"."id"%TYPE, "name" TEXT, "email" TEXT, "password" TEXT, "created_at" TIMESTAMPTZ,
    "email_verified_at" TIMESTAMPTZ
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
#variable_conflict use_column
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
    "options" JSONB := $5::JSONB;
    "replaced" "User"."id"%TYPE;
    "entry" RECORD;
BEGIN
    PERFORM FROM "User" WHERE "idempotency_key" = decode($4, 'hex') AND "created_at" > now() - INTERVAL '24 hours';
    IF NOT FOUND THEN
        SELECT "id" INTO vars."replaced" FROM "User"
        WHERE "email" = vars."address" AND "email_verified_at" IS NULL AND "verification_expires_at" < now();
        IF FOUND THEN
            BEGIN
                -- Checked again, because another transaction may have verified the user meanwhile.
                DELETE FROM "User"
                WHERE "id" = vars."replaced" AND "email_verified_at" IS NULL AND "verification_expires_at" < now();
                IF FOUND THEN
                    -- A deferred foreign key would otherwise fail the sign-up later.
                    SET CONSTRAINTS ALL IMMEDIATE;
                    DELETE FROM "Outbox" WHERE "user_id" = vars."replaced"::TEXT;
                END IF;
            EXCEPTION WHEN foreign_key_violation THEN
                -- Another table refers to the user, whose address stays taken.
                NULL;
            END;
        END IF;
    END IF;
    SELECT * INTO vars."entry" FROM "sign_up"($1, $2, $3, $4);
    IF NOT FOUND THEN
        IF (vars."options"->>'conceal')::BOOLEAN THEN
            WITH "owner" AS (
                UPDATE "User" SET "reminded_at" = now()
                WHERE (
                    "email" = vars."address"
                    OR lower("email"::TEXT) = lower($2) AND "email"::TEXT <> lower("email"::TEXT)
                ) AND ("email_verified_at" IS NOT NULL OR "verification_expires_at" IS NULL)
                  AND ("reminded_at" IS NULL OR "reminded_at" <= now() - INTERVAL '1 hour')
                RETURNING "id"::TEXT AS "user_id", "name"::TEXT AS "name", "email"::TEXT AS "email"
            )
            INSERT INTO "Outbox" ("kind", "user_id", "payload")
            SELECT 'already_registered', "user_id",
                jsonb_build_object('name', "name", 'email', "email", 'language', vars."options"->'language')
            FROM "owner";
            -- The owner of the address may be the one who signs up now. The mail says that this account is another's.
            IF (vars."options"->>'verify')::BOOLEAN THEN
                PERFORM "request_verification"($2, $5);
            END IF;
        END IF;
        RETURN;
    END IF;
    -- Only the call that inserts the user returns no password.
    IF vars."entry"."password" IS NULL THEN
        IF (vars."options"->>'verify')::BOOLEAN THEN
            UPDATE "User"
            SET "verification_expires_at" = now() + make_interval(secs => (vars."options"->>'ttl')::FLOAT)
            WHERE "id" = vars."entry"."id";
        END IF;
        INSERT INTO "Outbox" ("kind", "user_id", "payload")
        SELECT "kind", "entry"."id"::TEXT, jsonb_build_object(
            'name', "entry"."name", 'email', "entry"."email", 'language', "options"->'language'
        )
        FROM (VALUES ('verify_email', 'verify'), ('user.created', 'webhook')) AS "kinds"("kind", "option")
        WHERE ("options"->>"option")::BOOLEAN;
    END IF;
    RETURN QUERY
        SELECT vars."entry"."id", vars."entry"."name", vars."entry"."email", vars."entry"."password",
            vars."entry"."created_at", "email_verified_at"::TIMESTAMPTZ
        FROM "User" WHERE "id" = vars."entry"."id";
END
$$;

-- CreateFunction
-- verify_email(user_id, email, options) records that a user reads the mail to an address: 'verified',
-- 'already_verified', or 'unknown' when there is no such user with this address. The option "webhook" records
-- "user.verified".
CREATE FUNCTION "verify_email"(TEXT, TEXT, TEXT) RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
    "entry" RECORD;
BEGIN
    UPDATE "User" SET "email_verified_at" = now()
    WHERE "email" = vars."address" AND "id"::TEXT = $1 AND "email_verified_at" IS NULL
    RETURNING "id"::TEXT AS "user_id", "name"::TEXT AS "name", "email"::TEXT AS "email" INTO vars."entry";
    IF FOUND THEN
        DELETE FROM "Outbox" WHERE "user_id" = "entry"."user_id" AND "kind" = 'verify_email';
        INSERT INTO "Outbox" ("kind", "user_id", "payload")
        SELECT 'user.verified', "entry"."user_id",
            jsonb_build_object('name', "entry"."name", 'email', "entry"."email", 'language', NULL)
        WHERE ($3::JSONB->>'webhook')::BOOLEAN;
        RETURN 'verified';
    END IF;
    PERFORM FROM "User" WHERE "email" = vars."address" AND "id"::TEXT = $1;
    RETURN CASE WHEN FOUND THEN 'already_verified' ELSE 'unknown' END;
END
$$;

-- CreateFunction
-- remove_unverified_user(user_id, email) removes a user who was to be verified and is not, with the messages. It
-- returns whether there was one. Users that were never to be verified stay.
CREATE FUNCTION "remove_unverified_user"(TEXT, TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
BEGIN
    DELETE FROM "User"
    WHERE "email" = vars."address" AND "id"::TEXT = $1
      AND "email_verified_at" IS NULL AND "verification_expires_at" IS NOT NULL;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    DELETE FROM "Outbox" WHERE "user_id" = $1;
    RETURN TRUE;
END
$$;

-- CreateFunction
-- request_verification(email, options) records "verify_email" for a user that is not verified, unless such a message
-- is pending, or was recorded lately: anyone may request a mail to any address. The pause between two is a quarter of the
-- user's age, from a minute to an hour. The option is "language". The result is always the same.
CREATE FUNCTION "request_verification"(TEXT, TEXT) RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $1;
BEGIN
    -- Of two requests at the same time the second waits for the first, and then finds the time that it has set.
    WITH "pending" AS (
        UPDATE "User" AS "user" SET "reminded_at" = now()
        WHERE ("email" = vars."address" OR lower("email"::TEXT) = lower($1) AND "email"::TEXT <> lower("email"::TEXT))
          AND "email_verified_at" IS NULL
          -- A user that another application stored may have no "created_at".
          AND coalesce("reminded_at", "created_at"::TIMESTAMPTZ, '-infinity') <= now() - greatest(
              INTERVAL '1 minute', least(INTERVAL '1 hour', (now() - "created_at"::TIMESTAMPTZ) / 4)
          )
          AND NOT EXISTS (
              SELECT FROM "Outbox"
              WHERE "user_id" = "user"."id"::TEXT AND "kind" = 'verify_email' AND "dead_at" IS NULL
          )
        RETURNING "id"::TEXT AS "user_id", "name"::TEXT AS "name", "email"::TEXT AS "email",
            floor(extract(epoch FROM "created_at"::TIMESTAMPTZ)) AS "signed_up_at"
    )
    INSERT INTO "Outbox" ("kind", "user_id", "payload")
    SELECT 'verify_email', "user_id", jsonb_build_object(
        'name', "name", 'email', "email", 'language', $2::JSONB->'language', 'signed_up_at', "signed_up_at"
    )
    FROM "pending";
    RETURN 'accepted';
END
$$;

-- CreateFunction
-- How long a message rests after its given attempt: a minute, doubled each time, 4 hours at most, and 20 % of chance.
CREATE FUNCTION "outbox_pause"(INTEGER) RETURNS INTERVAL
LANGUAGE sql VOLATILE AS $$
    SELECT INTERVAL '1 minute' * least(2 ^ least($1 - 1, 20), 240) * (0.9 + 0.2 * random())
$$;

-- CreateFunction
-- claim_messages(options) returns messages that are due, the oldest first, and counts an attempt for each. Options:
--   kinds     the kinds to claim
--   limit     how many, at most
--   lease     seconds that the caller may take. No other call returns these messages for so long
-- A message whose caller vanishes becomes due again. After 12 attempts it is dead.
CREATE FUNCTION "claim_messages"(TEXT)
RETURNS TABLE (
    "id" BIGINT, "key" UUID, "kind" TEXT, "user_id" TEXT, "payload" JSONB, "attempts" INTEGER, "created_at" TIMESTAMPTZ
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
#variable_conflict use_column
DECLARE
    "options" JSONB := $1::JSONB;
BEGIN
    RETURN QUERY
        WITH "due" AS MATERIALIZED (
            SELECT "id" FROM "Outbox"
            WHERE "dead_at" IS NULL AND "next_attempt_at" <= now()
              AND "kind" = ANY (ARRAY(SELECT jsonb_array_elements_text("options"->'kinds')))
            ORDER BY "next_attempt_at" LIMIT ("options"->>'limit')::INTEGER
            FOR UPDATE SKIP LOCKED
        ), "claimed" AS (
            UPDATE "Outbox" AS "message" SET
                "attempts" = least("message"."attempts" + 1, 12),
                "dead_at" = CASE WHEN "message"."attempts" >= 12 THEN now() END,
                "last_error" = CASE WHEN "message"."attempts" >= 12 THEN coalesce("last_error", 'no_result')
                                    ELSE "last_error" END,
                "next_attempt_at" = now() + greatest(
                    make_interval(secs => ("options"->>'lease')::FLOAT), "outbox_pause"("message"."attempts" + 1)
                )
            FROM "due" WHERE "message"."id" = "due"."id"
            RETURNING "message".*
        )
        SELECT "id", "key", "kind", "user_id", "payload", "attempts", "created_at"::TIMESTAMPTZ FROM "claimed"
        WHERE "dead_at" IS NULL ORDER BY "id";
END
$$;

-- CreateFunction
-- finish_message(id, attempts) deletes a message that was delivered. The number of attempts is that of the claim: a
-- caller that took longer than its lease finds nothing when another one has claimed the message. It returns whether
-- there was one.
CREATE FUNCTION "finish_message"(TEXT, TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM "Outbox" WHERE "id" = $1::BIGINT AND "attempts" = $2::INTEGER AND "dead_at" IS NULL;
    RETURN FOUND;
END
$$;

-- CreateFunction
-- fail_message(id, attempts, error, options) records why a message was not delivered. It returns whether the message is
-- dead now. Options:
--   permanent    whether another attempt would fail too
--   retry_after  seconds that the receiver asked to wait, if it did
CREATE FUNCTION "fail_message"(TEXT, TEXT, TEXT, TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    "options" JSONB := $4::JSONB;
    "dead" BOOLEAN := coalesce(("options"->>'permanent')::BOOLEAN, FALSE) OR $2::INTEGER >= 12;
BEGIN
    UPDATE "Outbox" SET
        "last_error" = $3,
        "dead_at" = CASE WHEN "dead" THEN now() END,
        "next_attempt_at" = now() + greatest(
            make_interval(secs => coalesce(("options"->>'retry_after')::FLOAT, 0)), "outbox_pause"($2::INTEGER)
        )
    WHERE "id" = $1::BIGINT AND "attempts" = $2::INTEGER AND "dead_at" IS NULL;
    RETURN FOUND AND "dead";
END
$$;

-- CreateFunction
-- outbox_counts() returns how many messages are not delivered, how many of these are due now, and how many are dead.
CREATE FUNCTION "outbox_counts"() RETURNS TABLE ("pending" BIGINT, "due" BIGINT, "dead" BIGINT)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT count(*) FILTER (WHERE "dead_at" IS NULL),
        count(*) FILTER (WHERE "dead_at" IS NULL AND "next_attempt_at" <= now()),
        count(*) FILTER (WHERE "dead_at" IS NOT NULL)
    FROM "Outbox"
$$;

REVOKE ALL ON FUNCTION "sign_up_recorded", "verify_email", "remove_unverified_user", "request_verification",
    "outbox_pause", "claim_messages", "finish_message", "fail_message", "outbox_counts" FROM PUBLIC;

-- Default privileges may have granted the functions to other roles, such as those of an HTTP API that a host generates.
-- These would read messages with addresses.
DO $$
DECLARE
    "granted" RECORD;
BEGIN
    FOR "granted" IN
        SELECT "oid"::REGPROCEDURE AS "function", "grantee"::REGROLE AS "role"
        FROM pg_proc, aclexplode("proacl")
        WHERE "grantee" <> "proowner" AND "pronamespace" = current_schema()::REGNAMESPACE AND "proname" IN (
            'sign_up_recorded', 'verify_email', 'remove_unverified_user', 'request_verification', 'outbox_pause',
            'claim_messages', 'finish_message', 'fail_message', 'outbox_counts'
        )
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', "granted"."function", "granted"."role");
    END LOOP;
END
$$;

DO $$
BEGIN
    GRANT EXECUTE ON FUNCTION "sign_up_recorded", "verify_email", "remove_unverified_user", "request_verification",
        "claim_messages", "finish_message", "fail_message", "outbox_counts" TO "signup_worker";
EXCEPTION
    WHEN undefined_object THEN RAISE NOTICE 'there is no role signup_worker';
    WHEN insufficient_privilege THEN RAISE NOTICE 'no right to grant to signup_worker';
END
$$;

RESET search_path;
