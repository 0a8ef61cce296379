"""The interface of Cloudflare's `send_email` bindings."""

from typing import Protocol


class EmailBinding(Protocol):
    """A `send_email` binding."""

    async def __call__(self, mail: str, milliseconds: int, /) -> str:
        """Send an e-mail; return "" on success, else the code or the name of the error.

        Args:
            mail: the e-mail in JSON, as the binding takes it.
            milliseconds: the timeout, in milliseconds.
        """
        ...
