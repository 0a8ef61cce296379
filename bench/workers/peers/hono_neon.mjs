// The smallest JavaScript peer: Hono and Neon's driver over the Worker's sqlproxy, with minimal validation.
import { neon, neonConfig } from "@neondatabase/serverless";
import { hash } from "hash";
import { Hono } from "hono";

const INSERT = `INSERT INTO "User" ("name", "email", "password") VALUES ($1, $2, $3)
ON CONFLICT ("email") DO NOTHING RETURNING "id", "name", "email", "created_at"`;

const app = new Hono();

app.post("/", async (c) => {
  const { name, email, password } = await c.req.json();
  if (typeof name !== "string" || typeof email !== "string" || typeof password !== "string") {
    return c.json({ msg: "Invalid input" }, 422);
  }
  neonConfig.fetchEndpoint = c.env.ENDPOINT;
  const sql = neon(c.env.DATABASE_URL);
  const [user] = await sql.query(INSERT, [name, email, await hash(password)]);
  return user ? c.json({ msg: "User created", user }, 201) : c.json({ msg: "Email taken" }, 409);
});

export default app;
