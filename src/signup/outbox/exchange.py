"""HTTP requests for deliveries. Errors are raised as `DeliveryFailed`."""

import time
from collections.abc import Mapping

import httpx

from signup.database.proxy import retry_after
from signup.http_client import Endpoint
from signup.outbox.message import DeliveryFailed


async def post(endpoint: Endpoint, content: bytes, headers: Mapping[str, str], deadline: float) -> httpx.Response:
    """Send a POST request and return the response, whatever its status.

    Raises:
        DeliveryFailed: there was no response by `deadline`, in seconds on the monotonic clock.
    """
    seconds = max(0.001, deadline - time.monotonic())
    try:
        return await endpoint.post(content, headers=headers, seconds=seconds)
    # The error's text is not used, because it may quote the URL.
    except httpx.TimeoutException as exc:
        raise DeliveryFailed("timeout") from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise DeliveryFailed("unreachable") from exc


def failure(response: httpx.Response, *, permanent: bool = False) -> DeliveryFailed:
    """Return the error for a response, with a code such as `status_500`."""
    return DeliveryFailed(f"status_{response.status_code}", permanent=permanent, retry_after=retry_after(response))
