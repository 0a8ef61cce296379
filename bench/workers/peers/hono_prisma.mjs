// The stack that the Worker replaces: Hono and Prisma Client over Prisma Accelerate, whose protocol Prisma's executor
// implements here. Each request creates a client, as documented by Prisma. If KEPT is true, all requests of the isolate
// share one client. The caching extension is omitted, because a sign-up does not use it.
import { hash } from "hash";
import { Hono } from "hono";
import { PrismaClient } from "prisma-client";

const open = (url) => new PrismaClient({ accelerateUrl: url });
let client;

const app = new Hono();

app.post("/", async (c) => {
  const { name, email, password } = await c.req.json();
  if (typeof name !== "string" || typeof email !== "string" || typeof password !== "string") {
    return c.json({ msg: "Invalid input" }, 422);
  }
  const prisma = KEPT ? (client ??= open(c.env.DATABASE_URL)) : open(c.env.DATABASE_URL);
  const user = await prisma.user.create({
    data: { name, email, password: await hash(password) },
    select: { id: true, name: true, email: true, createdAt: true },
  });
  return c.json({ msg: "User created", user }, 201);
});

export default app;
