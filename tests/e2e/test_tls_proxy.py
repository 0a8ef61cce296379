"""sqlproxy behind what terminates TLS, as docs/deploy.md has it: the Worker reaches it by sql+https://."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from devstack.postgres.server import free_port
from devstack.stack.stack import Options
from tests.e2e import tls
from tests.e2e.configs import limited
from tests.e2e.conftest import Running, watched


@dataclass
class Behind:
    """A Worker that trusts a certificate, and where its holder is to listen."""

    worker: Running
    terminator: tls.Terminator
    token: str


@pytest.fixture(scope="module")
def behind(worker: Running, state: Path) -> Iterator[Behind]:
    """Run a Worker whose DATABASE_URL is sql+https:// on this machine; nobody listens there yet."""
    (home := state / "behind-tls").mkdir()
    it = tls.terminator(home, worker.proxy.port or 0)
    (home / "dev.vars").write_text(f'DATABASE_URL="sql+https://{worker.proxy.username}@127.0.0.1:{it.port}/"\n')
    lines: list[str] = []
    options = Options(home, home / "dev.vars", free_port(), ready="/health", say=lines.append, config=limited())
    with pytest.MonkeyPatch.context() as patch:
        # wrangler dev has workerd trust these beside the public ones.
        patch.setenv("NODE_EXTRA_CA_CERTS", str(it.certificate))
        with watched(options, lines) as running:
            yield Behind(running, it, worker.proxy.username)


@pytest.mark.parametrize("way", [pytest.param(tls.relay, id="relay"), *tls.FRONTS])
def test_users_sign_up_through_tls(
    behind: Behind, way: Callable[[tls.Terminator], AbstractContextManager[None]]
) -> None:
    """201 and a row, /ready and a taken address, each over TLS; without what terminates it, 503."""
    with way(behind.terminator):
        assert behind.worker.client.get("/ready").json() == {"status": "ready"}
        answer = behind.worker.sign_up()
        assert answer.status_code == 201, answer.text
        again = behind.worker.sign_up(email=answer.json()["user"]["email"])
        assert again.status_code == 409
    assert behind.worker.client.get("/ready").status_code == 503


@pytest.mark.parametrize("way", tls.FRONTS)
def test_only_what_the_worker_needs_is_passed_on(
    behind: Behind, way: Callable[[tls.Terminator], AbstractContextManager[None]]
) -> None:
    """/metrics stays at home, with the right token too; sqlproxy's own refusals arrive."""
    context = ssl.create_default_context(cafile=str(behind.terminator.certificate))
    token = {"authorization": f"Bearer {behind.token}"}
    base = f"https://127.0.0.1:{behind.terminator.port}"
    with way(behind.terminator), httpx.Client(base_url=base, verify=context, headers=token) as client:
        assert client.get("/ready").status_code == 200
        assert client.get("/metrics").status_code == 404
        assert client.get("/health").status_code == 404
        assert client.post("/sql", json={"query": "SELECT 2", "params": []}).status_code == 403
        # sqlproxy refuses such a body before it is read. Caddy, which may still be sending it, then responds 502.
        assert client.post("/sql", content=b"x" * 1_100_000).status_code in ((413, 502) if way is tls.caddy else (413,))
