"""What an exception tells, for tests that look for secrets in it."""

import httpx

from signup.problems import Problem


def everything_said(problem: Problem) -> str:
    """Return the texts of a problem, of its members and of its causes, but for httpx's own, which are never logged."""
    said = [repr(vars(problem)), repr(problem.headers())]
    link: BaseException | None = problem
    while link:
        if not isinstance(link, httpx.HTTPError):
            said += [str(link), repr(link)]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " ".join(said)
