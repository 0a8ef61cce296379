"""What sign-ups cost a month, from published prices: `python -m bench.costs` prints docs/deploy.md's table.

Prices are in US dollars, without taxes; docs/deploy.md says of when each is, and what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000
VOLUMES = (10_000, MILLION, 100 * MILLION)
# Of one sign-up: the hash and what is around it; the platform's line and ours.
CPU_MS = 150
LOG_EVENTS = 2
# A user with all indexes, as Postgres 18 stores 200,000 of them.
BYTES_A_USER = 430
MONTHS = 12
HOURS = 730


@dataclass(frozen=True)
class Metered:
    """Something that is included up to an amount, and then costs so much for each unit, in dollars."""

    included: float
    unit: float
    price: float

    def cost(self, amount: float) -> float:
        """Return what so much of it costs."""
        return max(0, amount - self.included) / self.unit * self.price


WORKERS_BASE = 5.0
WORKERS_REQUESTS = Metered(10 * MILLION, MILLION, 0.30)
WORKERS_CPU_MS = Metered(30 * MILLION, MILLION, 0.02)
WORKERS_LOGS = Metered(20 * MILLION, MILLION, 0.60)

NEON_CU_HOUR = 0.106
NEON_GB_MONTH = 0.35
# Compute units, always on.
NEON_CU = dict(zip(VOLUMES, (0.25, 0.25, 4), strict=True))


@dataclass(frozen=True)
class Plan:
    """A plan of Prisma Postgres."""

    base: float
    operations: Metered
    gigabytes: Metered


PRISMA = (
    Plan(10, Metered(MILLION, 1000, 0.008), Metered(10, 1, 2.00)),
    Plan(49, Metered(10 * MILLION, 1000, 0.002), Metered(50, 1, 1.50)),
    Plan(129, Metered(50 * MILLION, 1000, 0.001), Metered(100, 1, 1.00)),
)

# A virtual machine for Postgres and sqlproxy: its disk in GB, its price; a volume's price a GB beyond that disk.
SERVERS = dict(zip(VOLUMES, ((80, 24.0), (160, 48.0), (320, 96.0)), strict=True))
VOLUME_GB = 0.10


def gigabytes(sign_ups: int) -> float:
    """Return what a year's users take, in GB."""
    return sign_ups * MONTHS * BYTES_A_USER / 1e9


def workers(sign_ups: int) -> float:
    """Return what Cloudflare takes, logs included."""
    return (
        WORKERS_BASE
        + WORKERS_REQUESTS.cost(sign_ups)
        + WORKERS_CPU_MS.cost(sign_ups * CPU_MS)
        + WORKERS_LOGS.cost(sign_ups * LOG_EVENTS)
    )


def neon(sign_ups: int) -> float:
    """Return what Neon takes, with a year's users."""
    return NEON_CU[sign_ups] * HOURS * NEON_CU_HOUR + gigabytes(sign_ups) * NEON_GB_MONTH


def prisma(sign_ups: int) -> float:
    """Return what the cheapest plan of Prisma Postgres takes, with a year's users."""
    size = gigabytes(sign_ups)
    return min(plan.base + plan.operations.cost(sign_ups) + plan.gigabytes.cost(size) for plan in PRISMA)


def server(sign_ups: int) -> float:
    """Return what a machine takes, with a year's users."""
    disk, price = SERVERS[sign_ups]
    return price + max(0, gigabytes(sign_ups) - disk) * VOLUME_GB


def arithmetic(sign_ups: int) -> str:
    """Return how Cloudflare's part comes about."""
    parts = [f"{WORKERS_BASE:.2f}"]
    for metered, amount in (
        (WORKERS_REQUESTS, sign_ups),
        (WORKERS_CPU_MS, sign_ups * CPU_MS),
        (WORKERS_LOGS, sign_ups * LOG_EVENTS),
    ):
        if metered.cost(amount):
            parts.append(f"({amount / MILLION:,.0f} - {metered.included / MILLION:.0f}) · {metered.price:.2f}")
    return " + ".join(parts)


def table() -> str:
    """Return the two tables of docs/deploy.md."""
    lines = [
        "| sign-ups a month | Cloudflare: base + requests + CPU ms + log events, in millions | $ |",
        "| ---: | --- | ---: |",
        *(f"| {n:,} | {arithmetic(n)} | {workers(n):,.2f} |" for n in VOLUMES),
        "",
        "| sign-ups a month | a year's users, GB | Neon $ | Prisma Postgres $ | a server $ | all $ |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for n in VOLUMES:
        kinds = (neon(n), prisma(n), server(n))
        least, most = (workers(n) + pick(kinds) for pick in (min, max))
        cells = " | ".join(f"{cost:,.0f}" for cost in kinds)
        lines.append(f"| {n:,} | {gigabytes(n):,.2f} | {cells} | {least:,.0f} to {most:,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - a command line
