// A sign-up of the older stack: Prisma Client's create without validation.
//
// Standard input: {"client": path of the generated client, "url": prisma+postgres://…, "users": their fields}. Prints
// all users afterwards.

import { text } from 'node:stream/consumers'

const { client, url, users } = JSON.parse(await text(process.stdin))
const { PrismaClient } = await import(client)

const prisma = new PrismaClient({ accelerateUrl: url })
for (const data of users) await prisma.user.create({ data })
console.log(JSON.stringify(await prisma.user.findMany({ orderBy: { id: 'asc' } })))
await prisma.$disconnect()
