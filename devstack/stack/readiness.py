"""Readiness checks of the stack's HTTP servers."""

import http.client
import json

# The timeout of a request in seconds. The Worker's first response is slow, because the Worker imports its packages.
SECONDS = 30


def find_obstacle(port: int, path: str) -> str:
    """Request a path from a server on this machine.

    Returns:
        "" if the status is 200; otherwise the reason, such as "/ready answers 503 proxy_unavailable".
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return f"{path} does not respond yet"
    finally:
        connection.close()
    return "" if response.status == http.client.OK else f"{path} answers {response.status} {_code(body)}".rstrip()


def _code(body: bytes) -> str:
    """Return the member `code` of problem details (RFC 9457), or "" for any other body."""
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return code if isinstance(code, str) else ""
