// Read and write users with the real Prisma Client, generated from prisma/schema.prisma.
//
// Standard input: {"client": path of the generated client, "url": prisma+postgres://…, "create": a user's fields}. Prints
// {"users": the existing users, ordered by id, with idempotency keys in hexadecimal, "created": the new user, "code": the
// error code of creating that user again}.

import { text } from 'node:stream/consumers'

const { client, url, create } = JSON.parse(await text(process.stdin))
const { PrismaClient } = await import(client)

const prisma = new PrismaClient({ accelerateUrl: url })
const users = await prisma.user.findMany({ orderBy: { id: 'asc' } })
const created = await prisma.user.create({ data: create })
const { code } = await prisma.user.create({ data: create }).catch((error) => error)
const hex = (user) => ({ ...user, idempotencyKey: user.idempotencyKey && Buffer.from(user.idempotencyKey).toString('hex') })
console.log(JSON.stringify({ users: users.map(hex), created, code }))
await prisma.$disconnect()
