"""`python -m bench.proxies`: compare sqlproxy with Prisma's query plan executor.

sqlproxy runs in three configurations: with an allow-list of statements, without an allow-list, and with a statement
that it does not recognise as the Worker's, which makes it reset the session for every request. All contenders use the
same Postgres server and the same number of connections, and run the Worker's sign-up for the same clients. The clients
use persistent connections, and send the next request when they receive a response. The contenders take turns, in an
order that changes every round, so that a slow period of the machine affects all of them. Each ratio compares two turns
of the same round.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg

from bench import ROOT, peers
from bench.load import Sample, Samples, turn
from bench.report import commit, log, machine, spread, table
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres
from devstack.scratch import scratch_folder

CLIENTS = (1, 16, 64)
# The configurations of sqlproxy. `sqlproxy_reset` runs the Worker's statement with a space at its end.
OURS = ("sqlproxy_listed", "sqlproxy", "sqlproxy_reset")
# The executor's pool has the default size of node-postgres. The executor has no option to change it.
POOL_SIZE = 10
# The warm-up before the first round: V8 optimises the executor only after seconds of load, and Python and Postgres fill
# their caches.
_WARM_UP_CLIENTS = 64
_WARM_UP_TURNS = 8


def measure(rounds: int, seconds: float) -> tuple[Samples, Mapping[str, int]]:
    """Run all contenders in turn, for several rounds.

    Returns:
        The samples by contender and number of clients, one per round; and the number of connections that each
        contender had open at the end.

    Raises:
        RuntimeError: a sign-up failed, or the number of rows differs from that of successful sign-ups.
    """
    samples: Samples = {}
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("proxies"))
        server = stack.enter_context(postgres.running(folder / "postgres"))
        migrate(server.url())
        urls = {name: f"{server.url()}?application_name={name}" for name in (*OURS, "executor")}
        allow_list = folder / "statements.json"
        allow_list.write_text(json.dumps([peers.SIGN_UP]), encoding="utf-8")
        listed, unlisted, reset = OURS
        running = {
            listed: peers.sqlproxy(urls[listed], POOL_SIZE, "--allow-statements", str(allow_list)),
            unlisted: peers.sqlproxy(urls[unlisted], POOL_SIZE),
            reset: peers.sqlproxy(urls[reset], POOL_SIZE, statement=f"{peers.SIGN_UP} "),
            "executor": peers.executor(urls["executor"]),
        }
        contenders = {name: stack.enter_context(context) for name, context in running.items()}
        answered = 0
        for name, endpoint in contenders.items():
            log(f"warming up {name}")
            answered += turn(endpoint, _WARM_UP_CLIENTS, _WARM_UP_TURNS * seconds).answered
        for number in range(rounds):
            order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
            for clients in CLIENTS:
                for name in order:
                    sample = turn(contenders[name], clients, seconds)
                    samples.setdefault((name, clients), []).append(sample)
                    answered += sample.answered
                log(f"round {number + 1} of {rounds}, {clients:2} clients: {_describe_round(samples, clients)}")
        with psycopg.connect(server.url()) as admin:
            (stored,) = admin.execute('SELECT count(*) FROM "User"').fetchone() or (0,)
            connections: dict[str, int] = dict(
                admin.execute("SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1").fetchall()
            )
    if stored != answered:
        raise RuntimeError(f"{answered} sign-ups succeeded, but the table has {stored} rows")
    return samples, {name: connections.get(name, 0) for name in contenders}


def ratios(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Return the ratios between sqlproxy and the executor.

    A ratio above 1 means that sqlproxy handles more requests per second, or has a lower p99.
    """
    results: dict[str, dict[str, float]] = {}
    for name, clients in itertools.product(OURS, CLIENTS):
        ours, theirs = samples[name, clients], samples["executor", clients]
        pairs = list(zip(ours, theirs, strict=True))
        results[f"{name}_requests_per_second_{clients}"] = spread([mine.rate / other.rate for mine, other in pairs])
        results[f"{name}_p99_{clients}"] = spread([other.p99 / mine.p99 for mine, other in pairs])
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all medians except those with a reset of the session are above 1, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.proxies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (7)")
    parser.add_argument("--seconds", type=float, default=0.8, help="duration of each turn in seconds (0.8)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "bench" / "results-proxy.json", help="the JSON file to write"
    )
    options = parser.parse_args(arguments)
    samples, connections = measure(options.rounds, options.seconds)
    results = ratios(samples)
    share = max(sample.generator for turns in samples.values() for sample in turns)
    result = {
        "commit": commit(),
        "machine": machine(postgres="18, fsync off", connections=connections, generator_core_share=round(share, 2)),
        "ratios": results,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    log(f"\nRatios of sqlproxy to the executor over {options.rounds} rounds (above 1, sqlproxy is better):\n")
    log(table([["", "median", "least", "greatest"], *(_row(name, ratio) for name, ratio in results.items())]))
    log(f"\nThe clients used at most {share:.0%} of one core. The results are in {options.out.name}.")
    return 0 if all(ratio["median"] > 1 for name, ratio in results.items() if "reset" not in name) else 1


def _row(name: str, ratio: Mapping[str, float]) -> list[str]:
    return [name, *(f"{ratio[key]:.2f}" for key in ("median", "min", "max"))]


def _describe_round(samples: Mapping[tuple[str, int], Sequence[Sample]], clients: int) -> str:
    theirs = samples["executor", clients][-1]
    return "; ".join(
        f"{name} {samples[name, clients][-1].rate / theirs.rate:.2f} x the requests a second,"
        f" {theirs.p99 / samples[name, clients][-1].p99:.2f} x lower p99"
        for name in OURS
    )


if __name__ == "__main__":
    sys.exit(main())
