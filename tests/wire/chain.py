"""The texts of an exception, for tests that search them for secrets."""

import httpx

from signup.problems import Problem


def exception_texts(problem: Problem) -> str:
    """Return the texts of a problem, its members, its headers and its causes.

    Exceptions of httpx are omitted, because they are never logged.
    """
    texts = [repr(vars(problem)), repr(problem.headers())]
    exc: BaseException | None = problem
    while exc:
        if not isinstance(exc, httpx.HTTPError):
            texts += [str(exc), repr(exc)]
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return " ".join(texts)
