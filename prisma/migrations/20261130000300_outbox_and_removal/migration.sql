-- "This was not me" works for users that other tables refer to, and messages that are not delivered are deleted some day.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false);

-- CreateFunction
-- remove_unverified_user(user_id, email) removes a user who was to be verified and is not, with the messages. It
-- returns whether there was one. Users that were never to be verified stay. A user that other tables refer to without
-- CASCADE keeps the row, but not the name, the address, the password and the additional fields: the address is free, and
-- links to the old address verify nothing.
CREATE OR REPLACE FUNCTION "remove_unverified_user"(TEXT, TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
<<vars>>
DECLARE
    "address" "User"."email"%TYPE := $2;
    "random" TEXT := replace(gen_random_uuid()::TEXT, '-', '');
BEGIN
    BEGIN
        DELETE FROM "User"
        WHERE "email" = vars."address" AND "id"::TEXT = $1
          AND "email_verified_at" IS NULL AND "verification_expires_at" IS NOT NULL;
        IF NOT FOUND THEN
            RETURN FALSE;
        END IF;
        -- A deferred foreign key would otherwise fail after this function.
        SET CONSTRAINTS ALL IMMEDIATE;
    EXCEPTION WHEN integrity_constraint_violation THEN
        -- The password is a random Argon2id hash, which no password has. The domain "invalid" is reserved (RFC 2606):
        -- it receives no mail, and no sign-up may use it.
        UPDATE "User" SET
            "name" = 'removed',
            "email" = 'removed-' || vars."random" || '@user.invalid',
            "password" = '$argon2id$v=19$m=19456,t=2,p=1$' || rtrim(encode(decode(vars."random", 'hex'), 'base64'), '=')
                || '$' || rtrim(encode(sha256(gen_random_uuid()::TEXT::BYTEA), 'base64'), '='),
            "extra" = NULL,
            "idempotency_key" = NULL
        WHERE "email" = vars."address" AND "id"::TEXT = $1
          AND "email_verified_at" IS NULL AND "verification_expires_at" IS NOT NULL;
        IF NOT FOUND THEN
            RETURN FALSE;
        END IF;
    END;
    DELETE FROM "Outbox" WHERE "user_id" = $1;
    RETURN TRUE;
END
$$;

-- CreateFunction
-- outbox_counts() returns how many messages are not delivered, how many of these are due now, and how many are dead.
-- Before that it deletes messages that have been dead for 30 days, and those that no Worker has claimed for 30 days,
-- because they contain names and addresses.
CREATE OR REPLACE FUNCTION "outbox_counts"() RETURNS TABLE ("pending" BIGINT, "due" BIGINT, "dead" BIGINT)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM "Outbox" WHERE coalesce("dead_at", "next_attempt_at") <= now() - INTERVAL '30 days';
    SELECT count(*) FILTER (WHERE "dead_at" IS NULL),
        count(*) FILTER (WHERE "dead_at" IS NULL AND "next_attempt_at" <= now()),
        count(*) FILTER (WHERE "dead_at" IS NOT NULL)
    FROM "Outbox"
$$;

RESET search_path;
