"""Render an error as problem details (RFC 9457) in the client's language."""

from signup.i18n.catalog import Texts
from signup.problems import TYPE_PREFIX, Problem, ValidationFailed
from signup.web.messages import RouteResult


def describe_problem(problem: Problem | type[Problem], texts: Texts) -> dict[str, object]:
    """Return the members that all problems with this code share."""
    return {
        "type": TYPE_PREFIX + problem.code,
        "title": texts.titles[problem.code],
        "status": problem.status,
        "detail": texts.details[problem.code],
        "code": problem.code,
    }


def problem_result(problem: Problem, request_id: str, texts: Texts) -> RouteResult:
    """Return the response to a request that failed."""
    content = describe_problem(problem, texts) | {"instance": request_id}
    if isinstance(problem, ValidationFailed):
        content["errors"] = [
            {"pointer": each.pointer, "code": each.code, "detail": texts.field_error(each.path, each.code, each.limit)}
            for each in problem.errors
        ]
    return RouteResult(problem.status, content, "application/problem+json", problem.headers())
