"""The texts of an exception, for tests that search them for secrets."""

import httpx

from signup.problems import Problem


def exception_texts(problem: Problem) -> str:
    """Return the texts of a problem, its members, its headers and its causes.

    Exceptions of httpx are omitted, because they are never logged.
    """
    texts = [repr(vars(problem)), repr(problem.headers())]
    link: BaseException | None = problem
    while link:
        if not isinstance(link, httpx.HTTPError):
            texts += [str(link), repr(link)]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " ".join(texts)
