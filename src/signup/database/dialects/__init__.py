"""Data proxies, selected by DATABASE_URL.

| DATABASE_URL                                  | dialect                     | module            |
| --------------------------------------------- | --------------------------- | ----------------- |
| `sql+https://TOKEN@host[:port]/`              | Neon's, to `sqlproxy`       | `sqlproxy`        |
| `sql+http://TOKEN@127.0.0.1:port/`            | the same, for loopback      | `sqlproxy`        |
| `postgres://user:password@….neon.tech/db`     | Neon's SQL over HTTP        | `neon`            |
| `postgres://user:password@….pg.psdb.cloud/db` | the same, to PlanetScale    | `neon`            |
| `postgres://user:password@….xata.tech/db`     | the same, to Xata           | `neon`            |
| `postgres://ID:KEY@db.prisma.io:5432/…`       | Prisma's serverless HTTP    | `prisma_postgres` |
| `prisma+postgres://host[:port]/?api_key=KEY`  | Prisma Accelerate's         | `accelerate`      |
| `prisma://accelerate.prisma-data.net/?api_…`  | the same, until 2026-12-01  | `accelerate`      |
| `hyperdrive:`                                 | Postgres' own, to Hyperdrive | `hyperdrive`     |
"""

from signup.database.dialects.choose import choose
from signup.database.proxy import DataProxy, Rows

__all__ = ["DataProxy", "Rows", "choose"]
