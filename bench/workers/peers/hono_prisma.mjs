// What the Worker takes the place of: Hono, and Prisma Client over Prisma Accelerate, a client for each request as it is
// taught, but for the extension that adds caching, which a sign-up has no use for. Built with KEPT as true, one client
// serves the isolate for its life.
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
