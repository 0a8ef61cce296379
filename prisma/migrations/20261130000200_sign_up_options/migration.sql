-- Invitations, accepted terms, and additional fields of the user. Existing users keep all that they have: the new columns
-- are null, and no row is rewritten. A column of that name that already exists is used as it is.

-- AlterTable
ALTER TABLE "User" ADD COLUMN IF NOT EXISTS     "extra" JSONB,
ADD COLUMN IF NOT EXISTS     "terms_version" TEXT,
ADD COLUMN IF NOT EXISTS     "terms_accepted_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "SignUpInvitation" (
    "id" TEXT NOT NULL,
    "uses" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "last_key" TEXT,

    CONSTRAINT "SignUpInvitation_pkey" PRIMARY KEY ("id")
);

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- The result has more columns than before, so the function cannot be replaced. Workers of the previous version find the
-- columns that they select.
DROP FUNCTION "sign_up_recorded"(TEXT, TEXT, TEXT, TEXT, TEXT);

-- CreateFunction
-- sign_up_recorded(name, email, password, key, options) is "sign_up" with messages. Options are JSON:
--   verify      whether the address must be verified within "ttl" seconds: records "verify_email"
--   webhook     whether to record "user.created"
--   conceal     whether the owner of a taken address is notified: records "already_registered", once an hour for each
--               user, or does what "request_verification" does for a user that is not verified
--   language    of the mails
--   terms       the version of the terms that the user accepts
--   extra       additional fields, an object
--   invitation  an object: its "id", the allowed number of "uses", "expires_at" in seconds since 1970, whether the address
--               counts as "verified", and "count_taken", whether a sign-up with a taken address counts as a use. "last_key"
--               is the key of the last such sign-up, which counts once when it is repeated
-- A user that was to be verified, and was not in time, is replaced. A repeated request records nothing again, and does not
-- count as a use. If the invitation has no use left, only "refusal" is not null.
CREATE FUNCTION "sign_up_recorded"(TEXT, TEXT, TEXT, TEXT, TEXT)
RETURNS TABLE (
    "id" "User"."id"%TYPE, "name" TEXT, "email" TEXT, "password" TEXT, "created_at" TIMESTAMPTZ,
    "email_verified_at" TIMESTAMPTZ, "extra" TEXT, "refusal" TEXT
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
#variable_conflict use_column
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
    "options" JSONB := $5::JSONB;
    "replaced" "User"."id"%TYPE;
    "entry" RECORD;
    "invitation" JSONB := nullif("options"->'invitation', 'null');
    "count" INTEGER;
    "repeated" BOOLEAN;
    "verified" BOOLEAN;
    "verify" BOOLEAN;
BEGIN
    IF vars."invitation" IS NOT NULL THEN
        INSERT INTO "SignUpInvitation" ("id", "uses", "expires_at")
        VALUES (vars."invitation"->>'id', 0, to_timestamp((vars."invitation"->>'expires_at')::FLOAT))
        ON CONFLICT DO NOTHING;
        -- Other sign-ups with this invitation wait here until this one has ended.
        SELECT "uses", "last_key" IS NOT DISTINCT FROM $4 INTO vars."count", vars."repeated" FROM "SignUpInvitation"
        WHERE "id" = vars."invitation"->>'id' FOR UPDATE;
    END IF;
    PERFORM FROM "User" WHERE "idempotency_key" = decode($4, 'hex') AND "created_at" > now() - INTERVAL '24 hours';
    IF NOT FOUND THEN
        IF vars."count" >= (vars."invitation"->>'uses')::INTEGER AND NOT vars."repeated" THEN
            "refusal" := 'invitation_used';
            RETURN NEXT;
            RETURN;
        END IF;
        SELECT "id" INTO vars."replaced" FROM "User"
        WHERE "email" = vars."address" AND "email_verified_at" IS NULL AND "verification_expires_at" < now();
        IF FOUND THEN
            BEGIN
                -- It checks again whether the user is verified, because another transaction may have done that meanwhile.
                PERFORM "remove_unverified_user"(vars."replaced"::TEXT, vars."address"::TEXT);
            EXCEPTION WHEN integrity_constraint_violation THEN
                -- Other tables or a constraint keep the user, whose address stays taken.
                NULL;
            END;
        END IF;
    END IF;
    SELECT * INTO vars."entry" FROM "sign_up"($1, $2, $3, $4);
    IF NOT FOUND THEN
        IF (vars."invitation"->>'count_taken')::BOOLEAN AND NOT vars."repeated" THEN
            UPDATE "SignUpInvitation" SET "uses" = "uses" + 1, "last_key" = $4 WHERE "id" = vars."invitation"->>'id';
        END IF;
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
        "verified" := coalesce((vars."invitation"->>'verified')::BOOLEAN, FALSE);
        "verify" := coalesce((vars."options"->>'verify')::BOOLEAN, FALSE) AND NOT "verified";
        UPDATE "User" SET
            "email_verified_at" = CASE WHEN vars."verified" THEN now() ELSE "email_verified_at" END,
            "verification_expires_at" = CASE
                WHEN vars."verify" THEN now() + make_interval(secs => (vars."options"->>'ttl')::FLOAT)
            END,
            "terms_version" = coalesce(vars."options"->>'terms', "terms_version"),
            "terms_accepted_at" = CASE WHEN vars."options"->>'terms' IS NOT NULL THEN now() ELSE "terms_accepted_at" END
        WHERE "id" = vars."entry"."id" AND (
            vars."verify" OR vars."verified" OR vars."options"->>'terms' IS NOT NULL
        );
        -- A separate statement, because an existing column may have another type.
        IF vars."options"->>'extra' IS NOT NULL THEN
            UPDATE "User" SET "extra" = vars."options"->'extra' WHERE "id" = vars."entry"."id";
        END IF;
        UPDATE "SignUpInvitation" SET "uses" = "uses" + 1 WHERE "id" = vars."invitation"->>'id';
        INSERT INTO "Outbox" ("kind", "user_id", "payload")
        SELECT "kind", vars."entry"."id"::TEXT, jsonb_build_object(
            'name', vars."entry"."name", 'email', vars."entry"."email", 'language', vars."options"->'language'
        ) || "more"
        FROM (VALUES
            ('verify_email', vars."verify", '{}'::JSONB),
            ('user.created', (vars."options"->>'webhook')::BOOLEAN, jsonb_build_object('extra', vars."options"->'extra')),
            ('user.verified', (vars."options"->>'webhook')::BOOLEAN AND vars."verified",
                jsonb_build_object('extra', vars."options"->'extra'))
        ) AS "messages"("kind", "recorded", "more")
        WHERE "recorded";
    END IF;
    RETURN QUERY
        SELECT vars."entry"."id", vars."entry"."name", vars."entry"."email", vars."entry"."password",
            vars."entry"."created_at", "email_verified_at"::TIMESTAMPTZ, "extra"::TEXT, NULL
        FROM "User" WHERE "id" = vars."entry"."id";
END
$$;

-- CreateFunction
-- verify_email(user_id, email, options) is unchanged, except that "user.verified" has the additional fields.
CREATE OR REPLACE FUNCTION "verify_email"(TEXT, TEXT, TEXT) RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
    "entry" RECORD;
BEGIN
    UPDATE "User" SET "email_verified_at" = now()
    WHERE "email" = vars."address" AND "id"::TEXT = $1 AND "email_verified_at" IS NULL
    RETURNING "id"::TEXT AS "user_id", "name"::TEXT AS "name", "email"::TEXT AS "email", to_jsonb("extra") AS "extra"
    INTO vars."entry";
    IF FOUND THEN
        DELETE FROM "Outbox" WHERE "user_id" = "entry"."user_id" AND "kind" = 'verify_email';
        INSERT INTO "Outbox" ("kind", "user_id", "payload")
        SELECT 'user.verified', "entry"."user_id",
            jsonb_build_object(
                'name', "entry"."name", 'email', "entry"."email", 'language', NULL, 'extra', "entry"."extra"
            )
        WHERE ($3::JSONB->>'webhook')::BOOLEAN;
        RETURN 'verified';
    END IF;
    PERFORM FROM "User" WHERE "email" = vars."address" AND "id"::TEXT = $1;
    RETURN CASE WHEN FOUND THEN 'already_verified' ELSE 'unknown' END;
END
$$;

REVOKE ALL ON FUNCTION "sign_up_recorded" FROM PUBLIC;

-- Default privileges may have granted the function to other roles, such as those of an HTTP API that a host generates.
DO $$
DECLARE
    "granted" RECORD;
BEGIN
    FOR "granted" IN
        SELECT "oid"::REGPROCEDURE AS "function", "grantee"::REGROLE AS "role"
        FROM pg_proc, aclexplode("proacl")
        WHERE "grantee" <> "proowner" AND "pronamespace" = current_schema()::REGNAMESPACE
          AND "proname" = 'sign_up_recorded'
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', "granted"."function", "granted"."role");
    END LOOP;
END
$$;

DO $$
BEGIN
    GRANT EXECUTE ON FUNCTION "sign_up_recorded" TO "signup_worker";
EXCEPTION
    WHEN undefined_object THEN RAISE NOTICE 'there is no role signup_worker';
    WHEN insufficient_privilege THEN RAISE NOTICE 'no right to grant to signup_worker';
END
$$;

RESET search_path;
