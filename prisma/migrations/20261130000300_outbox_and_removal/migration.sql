-- "This was not me" works for users that other tables refer to.
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

RESET search_path;
