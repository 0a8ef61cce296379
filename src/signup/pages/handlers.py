"""What people get: the page at `/`, an answer to a posted form that is a page, and problems in their language."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pydantic import SecretStr

from signup.i18n.catalog import texts, translated
from signup.pages.sign_up_page import MEDIA_TYPE, Page
from signup.problems import Misconfigured, Problem
from signup.settings import Settings
from signup.web.form_body import Form
from signup.web.messages import (
    JSON,
    FormRefused,
    PostedForm,
    Request,
    Route,
    RouteResult,
    describe_problem,
    problem_result,
)
from signup.web.negotiation import accepts_html, is_form, language, prefers_html

_BY_LANGUAGE = "accept-language"
# Of those below 500 the one after which the same may be asked again.
TOO_MANY_REQUESTS = 429
# What the page looks like while the settings are wrong.
_PLAIN = Settings.model_construct(database_url=SecretStr(""))


class Pages:
    """The pages of an isolate.

    Args:
        settings: returns them, or raises `Misconfigured`.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._pages: dict[str, Page] = {}

    def route(self, request: Request, sign_up: Route) -> Route | None:
        """Return what answers a request to `/` with a page, or takes a form; None when neither is acceptable.

        Args:
            request: the request.
            sign_up: signs up by JSON.
        """
        accept = request.headers.get("accept", "")
        if request.method == "POST":
            form = is_form(request.headers.get("content-type", ""))
            return partial(self._post if prefers_html(accept) else _post_for_json, sign_up) if form else None
        return self._read if request.method in ("GET", "HEAD") and accepts_html(accept) else None

    def render_problem(self, request: Request, problem: Problem | type[Problem]) -> RouteResult:
        """Return problem details in the language of whoever asks.

        Args:
            request: the request.
            problem: what went wrong; or its class, for what the code means.
        """
        if isinstance(problem, Problem):
            answer = problem_result(problem, request.id)
        else:
            answer = RouteResult(200, describe_problem(problem))
        assert isinstance(answer.content, dict)  # noqa: S101 - problem details are one
        spoken = _language(request)
        answer.content = translated(answer.content, spoken)
        reads = request.path == "/" and request.method in ("GET", "HEAD")
        answer.headers |= {"content-language": spoken, "vary": f"accept, {_BY_LANGUAGE}" if reads else _BY_LANGUAGE}
        return answer

    async def _read(self, request: Request) -> RouteResult:
        page = self._page(request)
        return RouteResult(200, page.form(str(uuid.uuid4()), {}), MEDIA_TYPE, page.headers(f"accept, {_BY_LANGUAGE}"))

    async def _post(self, sign_up: Route, request: Request) -> RouteResult:
        form = _form(request)
        try:
            answer = await sign_up(_as_json(request, form))
        except Exception as exc:
            raise FormRefused(exc, form) from exc
        page = self._page(request)
        answer.headers |= page.headers(_BY_LANGUAGE)
        settings = self._settings()
        if settings.next_url:
            return RouteResult(303, None, MEDIA_TYPE, answer.headers | {"location": settings.next_url})
        return RouteResult(answer.status, page.done(), MEDIA_TYPE, answer.headers)

    def render_refused_form(self, request: Request, form: PostedForm, problem: Problem) -> RouteResult:
        """Return the page of a form that failed, with what was typed and the errors, but without the password."""
        rendered = self.render_problem(request, problem)
        page = self._page(request)
        content = rendered.content
        assert isinstance(content, dict)  # noqa: S101 - as above
        after = rendered.headers.get("retry-after")
        # Whether there is a user now may not be known: the same key keeps there from being two.
        keeps = problem.status >= 500 or problem.status == TOO_MANY_REQUESTS  # noqa: PLR2004
        key = (keeps and form.headers.get("idempotency-key")) or str(uuid.uuid4())
        mistakes = page.mistakes(content, int(after) if after else None)
        body = page.form(key, form.fields, mistakes)
        return RouteResult(problem.status, body, MEDIA_TYPE, rendered.headers | page.headers(_BY_LANGUAGE))

    def _page(self, request: Request) -> Page:
        spoken = _language(request)
        if spoken in self._pages:
            return self._pages[spoken]
        try:
            page = Page(self._settings(), texts(spoken))
        except Misconfigured:
            return Page(_PLAIN, texts(spoken))
        return self._pages.setdefault(spoken, page)


async def _post_for_json(sign_up: Route, request: Request) -> RouteResult:
    return await sign_up(_as_json(request, _form(request)))


def _form(request: Request) -> Form:
    headers = dict(request.headers)
    # Its parameters are kept, and judged as those of JSON are.
    headers["content-type"] = ";".join([JSON, *headers["content-type"].split(";")[1:]])
    return Form(request.read, headers)


def _as_json(request: Request, form: Form) -> Request:
    return replace(request, headers=form.headers, read=form.read)


def _language(request: Request) -> str:
    return language(request.headers.get("accept-language", ""))
