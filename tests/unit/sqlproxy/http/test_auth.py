"""Authentication by token."""

from __future__ import annotations

import hmac
from unittest.mock import patch

import pytest

from sqlproxy.errors import Unauthorized
from sqlproxy.http.auth import Authenticator

OLD = "old-token-old-token"
NEW = "new:token@new/token%"
QUOTED = "new%3Atoken%40new%2Ftoken%25"
AUTHENTICATOR = Authenticator([OLD, NEW])


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": f"Bearer {OLD}".encode()},
        {b"authorization": f"bearer  {NEW}".encode()},
        {b"neon-connection-string": f"postgres://user:{OLD}@host/db".encode()},
        {b"neon-connection-string": f"postgresql://user:{QUOTED}@host/db?application_name=x".encode()},
        {b"authorization": b"Basic eDp5", b"neon-connection-string": f"postgres://user:{OLD}@host/db".encode()},
    ],
)
def test_a_valid_token_is_accepted(headers: dict[bytes, bytes]) -> None:
    """Either token may be a bearer token or the percent-encoded password of a URL."""
    AUTHENTICATOR.check(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer wrong"},
        {b"authorization": f"Bearer {OLD}x".encode()},
        {b"authorization": f"Bearer {OLD[:-1]}".encode()},
        {b"authorization": f"Basic {OLD}".encode()},
        {b"authorization": b"Bearer wrong", b"neon-connection-string": f"postgres://user:{OLD}@host/db".encode()},
        {b"neon-connection-string": b"postgres://user@host/db"},
        {b"neon-connection-string": f"postgres://{OLD}@host/db".encode()},
        {b"neon-connection-string": b"postgres://[bad"},
        {b"neon-connection-string": b"\xff\xfe"},
    ],
)
def test_a_request_without_a_valid_token_is_unauthorized(headers: dict[bytes, bytes]) -> None:
    """Examples are missing, longer, shorter and misplaced tokens."""
    with pytest.raises(Unauthorized) as caught:
        AUTHENTICATOR.check(headers)
    assert dict(caught.value.headers)[b"www-authenticate"].startswith(b"Bearer")


@pytest.mark.parametrize("token", [OLD, NEW, "x"])
def test_tokens_are_compared_in_constant_time(token: str) -> None:
    """The given token is compared with every valid token, by digest and with `hmac.compare_digest`."""
    with patch.object(hmac, "compare_digest", side_effect=hmac.compare_digest) as compared:
        if token == "x":
            with pytest.raises(Unauthorized):
                AUTHENTICATOR.check({b"authorization": b"Bearer x"})
        else:
            AUTHENTICATOR.check({b"authorization": f"Bearer {token}".encode()})
    assert [len(value) for call in compared.call_args_list for value in call.args] == [32] * 4
