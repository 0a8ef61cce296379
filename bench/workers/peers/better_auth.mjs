// A contender of the benchmark: better-auth's sign-up by e-mail and password. It uses Drizzle and Neon's driver, and
// the same sqlproxy as the other contenders. The hash is better-auth's own, or that of the other contenders. A sign-up
// creates no session. All requests of the isolate share one instance of better-auth.
import { neon, neonConfig } from "@neondatabase/serverless";
import { betterAuth } from "better-auth";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { drizzle } from "drizzle-orm/neon-http";
import { boolean, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { hash } from "hash";
import { Hono } from "hono";

const times = () => ({ createdAt: timestamp("created_at").notNull(), updatedAt: timestamp("updated_at").notNull() });
const user = pgTable("user", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  email: text("email").notNull().unique(),
  emailVerified: boolean("email_verified").notNull(),
  image: text("image"),
  ...times(),
});
const account = pgTable("account", {
  id: text("id").primaryKey(),
  accountId: text("account_id").notNull(),
  providerId: text("provider_id").notNull(),
  userId: text("user_id").notNull(),
  accessToken: text("access_token"),
  refreshToken: text("refresh_token"),
  idToken: text("id_token"),
  accessTokenExpiresAt: timestamp("access_token_expires_at"),
  refreshTokenExpiresAt: timestamp("refresh_token_expires_at"),
  scope: text("scope"),
  password: text("password"),
  ...times(),
});
// better-auth requires these two tables, but a sign-up does not use them.
const session = pgTable("session", {
  id: text("id").primaryKey(),
  expiresAt: timestamp("expires_at").notNull(),
  token: text("token").notNull().unique(),
  ipAddress: text("ip_address"),
  userAgent: text("user_agent"),
  userId: text("user_id").notNull(),
  ...times(),
});
const verification = pgTable("verification", {
  id: text("id").primaryKey(),
  identifier: text("identifier").notNull(),
  value: text("value").notNull(),
  expiresAt: timestamp("expires_at").notNull(),
  ...times(),
});

function open(env) {
  neonConfig.fetchEndpoint = env.ENDPOINT;
  const schema = { user, account, session, verification };
  return betterAuth({
    baseURL: "http://127.0.0.1",
    secret: env.SECRET,
    database: drizzleAdapter(drizzle(neon(env.DATABASE_URL), { schema }), { provider: "pg", schema }),
    emailAndPassword: { enabled: true, autoSignIn: false, ...(hash && { password: { hash } }) },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
  });
}

let auth;
const app = new Hono();

app.post("/api/auth/*", (c) => (auth ??= open(c.env)).handler(c.req.raw));

export default app;
