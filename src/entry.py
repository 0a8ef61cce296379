"""The Worker's entry point: workerd calls `on_fetch` once a request.

A function, not a class: for a class workerd makes an object for each request, and converts what goes in and what comes
out, which takes as long as validating a sign-up. wrangler.toml has the compatibility flag that says so.
"""

from typing import Any

from signup import edge


def on_fetch(request: Any, env: Any, _context: Any) -> Any:
    """Answer one HTTP request; what goes wrong is a problem details answer, never an exception."""
    return edge.serve(request, env)


# Pyodide binds arguments to a function's signature, to leave out those that it does not take. Without a valid one it
# gets them all, in a fraction of the time.
on_fetch.__signature__ = ()  # type: ignore[attr-defined]
