// Replaces argon2id.mjs for hono_prisma.mjs, which stores passwords in clear text, as in the tutorial.
export const hash = async (password) => password;
