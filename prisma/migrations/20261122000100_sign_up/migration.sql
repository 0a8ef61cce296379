-- Everything here leaves the rows of an older "User" table as they are, and takes a moment however many there are, but
-- for the two indexes, whose building reads the table once. (No semicolon stands in a comment, because Prisma's engine
-- cuts the script at each when it works through a driver adapter.)

-- AlterTable
-- Users that were there before get the time of this migration, unless the table has their own.
ALTER TABLE "User" ADD COLUMN IF NOT EXISTS     "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "idempotency_key" BYTEA;

-- CreateIndex
-- A table that was not made by Prisma may lack it, and a sign-up relies on it. Two users with one address make it fail.
CREATE UNIQUE INDEX IF NOT EXISTS "User_email_key" ON "User"("email");

-- CreateIndex
CREATE UNIQUE INDEX "User_idempotency_key_key" ON "User"("idempotency_key");

-- A SHA-256 digest and nothing else. Name, address and password get no such check: an application that still writes to
-- this table, or does again after a way back, must not start to fail. The Worker checks them. Prisma neither shows nor
-- removes check constraints.
ALTER TABLE "User"
    ADD CONSTRAINT "User_idempotency_key_hashed" CHECK (octet_length("idempotency_key") = 32) NOT VALID;
