"""No outcome of a sign-up reveals a secret in a response or in the log."""

import time
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.postgres.server import free_port
from devstack.stack.stack import Options, running
from tests.e2e.conftest import Running

PASSWORD = "canarypassword is long enough"
EMAIL = "canaryaddress@example.com"
NAME = "canaryname"


def send_sign_ups(client: httpx.Client) -> list[httpx.Response]:
    """Send a valid sign-up twice, and invalid variants of it."""
    valid = {"name": NAME, "email": EMAIL, "password": PASSWORD}
    return [
        client.post("/", json=valid),
        client.post("/", json=valid),
        client.post("/", json={**valid, "email": "canaryaddress", "name": NAME * 20, "password": "canary"}),
        client.post("/", content=b'{"name":"canaryname', headers={"content-type": "application/json"}),
        client.post("/", content=f"name={NAME}&password={PASSWORD}".encode()),
        client.post(f"/nowhere?password={PASSWORD}", json=valid),
    ]


def test_no_secret_appears_in_responses_or_logs(worker: Running) -> None:
    """The log contains no personal data, hash or credential; no response contains a password, hash or credential.

    Only the 201 contains the name and the address.
    """
    token = worker.proxy.username
    dsn_password = worker.stack.database_url.split(":")[2].split("@")[0]
    responses = send_sign_ups(worker.client)
    assert [response.status_code for response in responses] == [201, 409, 422, 400, 415, 404]
    # Three failures: the table is missing, a constraint rejects the row, and the proxy is down.
    with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
        db.execute('ALTER TABLE "User" RENAME TO "Gone"')
        responses.append(worker.sign_up(name=NAME, email=EMAIL, password=PASSWORD))
        db.execute('ALTER TABLE "Gone" RENAME TO "User"')
        db.execute("""ALTER TABLE "User" ADD CONSTRAINT canary CHECK (name <> 'canaryname') NOT VALID""")
        responses.append(worker.sign_up(name=NAME, email=EMAIL.replace("@", "2@"), password=PASSWORD))
        db.execute('ALTER TABLE "User" DROP CONSTRAINT canary')
    assert [response.json()["code"] for response in responses[-2:]] == ["misconfigured", "internal"]
    proxy = worker.stack.service("sqlproxy")
    proxy.stop()
    responses.append(worker.sign_up(name=NAME, email=EMAIL, password=PASSWORD))
    proxy.start()
    while worker.client.get("/ready").status_code != 200:
        time.sleep(0.1)
    ((stored,),) = worker.rows('SELECT password FROM "User" WHERE email = %s', EMAIL)
    *_, salt, key = stored.split("$")
    assert len(worker.lines) > 20
    logs = "\n".join(worker.lines)
    for secret in (PASSWORD, "canaryaddress", "canaryname", salt, key, token, dsn_password):
        assert secret not in logs
    texts = [response.text + repr(response.headers) for response in responses]
    for secret in (PASSWORD, salt, key, token, dsn_password):
        assert not [text for text in texts if secret in text]
    assert not [text for text in texts[1:] if EMAIL in text or NAME in text]


def test_an_invalid_setting_is_named_only_in_the_log(state: Path) -> None:
    """The response is 500 misconfigured, the value is neither logged nor returned, and /health still works."""
    lines: list[str] = []
    dev_vars = state / "misconfigured.vars"
    dev_vars.write_text('DATABASE_URL="mysql://canary:canary@db.example.com/canary"\n')
    options = Options(state, dev_vars, free_port(), ready="/health", say=lines.append)
    with running(options) as stack, httpx.Client(base_url=stack.base_url, timeout=60) as client:
        for response in (client.get("/ready"), *send_sign_ups(client)[:2]):
            assert (response.status_code, response.json()["code"]) == (500, "misconfigured")
            assert "canary" not in response.text
            assert "DATABASE_URL" not in response.text
        assert client.get("/health").status_code == 200
    logs = "\n".join(lines)
    assert "DATABASE_URL has an unknown form; known forms are" in logs
    assert "canary" not in logs


@pytest.mark.parametrize("query", ['SELECT * FROM "User"', "SELECT 1; SELECT 2", "SELECT  1", 'DELETE FROM "User"'])
def test_the_proxys_token_allows_only_the_workers_statements(worker: Running, query: str) -> None:
    """Any other statement is refused with 403, even if it differs from an allowed statement by one byte."""
    bearer = {"authorization": f"Bearer {worker.proxy.username}"}
    endpoint = worker.proxy.copy_with(username=None, password=None, path="/sql")
    refused = httpx.post(endpoint, headers=bearer, json={"query": query, "params": []})
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")
    allowed = httpx.post(endpoint, headers=bearer, json={"query": "SELECT 1", "params": []})
    assert allowed.status_code == 200
