// Sign users up as the previous application does: with Prisma Client's `create`, without validation.
//
// Read {"client": <path of the generated client>, "url": "prisma+postgres://…", "users": [<the fields of a user>, …]}
// from standard input, and print all users of the table as JSON.

import { text } from 'node:stream/consumers'

const { client, url, users } = JSON.parse(await text(process.stdin))
const { PrismaClient } = await import(client)

const prisma = new PrismaClient({ accelerateUrl: url })
for (const data of users) await prisma.user.create({ data })
console.log(JSON.stringify(await prisma.user.findMany({ orderBy: { id: 'asc' } })))
await prisma.$disconnect()
