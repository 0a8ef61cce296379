"""The page at `/`, the pages in response to a form, and problem details in the client's language."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from signup.fields.models import INVITATION_FIELD
from signup.i18n.catalog import texts
from signup.problems import BadInvitation, Misconfigured, Problem, ValidationFailed
from signup.settings import Settings
from signup.web.form_body import Form, query_value
from signup.web.messages import (
    JSON,
    PageFailed,
    Request,
    Route,
    RouteResult,
)
from signup.web.negotiation import accepts_html, is_form, language, prefers_html
from signup.web.problem_details import describe_problem, problem_result

if TYPE_CHECKING:
    from signup.invitations.tokens import Invitation
    from signup.pages.sign_up_page import Page

MEDIA_TYPE = "text/html; charset=utf-8"
_BY_LANGUAGE = "accept-language"
# The only status below 500 after which a form keeps its key, because the user may send it again unchanged.
TOO_MANY_REQUESTS = 429
# The settings with which the page is rendered while the deployment is misconfigured.
_PLAIN = Settings.model_construct(database_url=SecretStr(""))


class Pages:
    """The sign-up pages of an isolate, cached by language.

    Args:
        settings: returns the settings, or raises `Misconfigured`.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._pages: dict[str, Page] = {}

    def route(self, request: Request, sign_up: Route) -> Route | None:
        """Return the route for a request to `/` that asks for a page or posts a form; None for other requests.

        Args:
            request: the request.
            sign_up: the route for JSON.
        """
        accept = request.headers.get("accept", "")
        if request.method == "POST":
            is_posted_form = is_form(request.headers.get("content-type", ""))
            return (
                partial(self._post if prefers_html(accept) else self._post_for_json, sign_up)
                if is_posted_form
                else None
            )
        return self._read if request.method in ("GET", "HEAD") and accepts_html(accept) else None

    def render_problem(self, request: Request, problem: Problem | type[Problem]) -> RouteResult:
        """Return problem details in the client's language.

        Args:
            request: the request.
            problem: the error, or its class for a description of the code.
        """
        tag = _language(request)
        if isinstance(problem, Problem):
            result = problem_result(problem, request.id, texts(tag))
        else:
            result = RouteResult(200, describe_problem(problem, texts(tag)))
        may_be_page = request.path == "/" and request.method in ("GET", "HEAD")
        result.headers |= {"content-language": tag, "vary": f"accept, {_BY_LANGUAGE}" if may_be_page else _BY_LANGUAGE}
        return result

    async def _read(self, request: Request) -> RouteResult:
        token = query_value(request.query, INVITATION_FIELD)
        try:
            invitation = self._invitation(token)
        except BadInvitation as exc:
            raise PageFailed(exc, partial(self._render_refused_link, request)) from exc
        page = self._page(request)
        body = page.form(str(uuid.uuid4()), {INVITATION_FIELD: token or ""}, invitation=invitation)
        return RouteResult(200, body, MEDIA_TYPE, page.headers(f"accept, {_BY_LANGUAGE}"))

    async def _post_for_json(self, sign_up: Route, request: Request) -> RouteResult:
        return await sign_up(as_json(request, form_of(request, self._as_object)))

    async def _post(self, sign_up: Route, request: Request) -> RouteResult:
        form = form_of(request, self._as_object)
        try:
            result = await sign_up(as_json(request, form))
        except Exception as exc:
            raise PageFailed(exc, partial(self._render_refused_form, request, form)) from exc
        page = self._page(request)
        result.headers |= page.headers(_BY_LANGUAGE)
        settings = self._settings()
        if settings.next_url:
            location = {"location": settings.next_url}
            return replace(result, status=303, content=None, media_type=MEDIA_TYPE, headers=result.headers | location)
        # The page does not ask the user to verify an address that the invitation has verified.
        try:
            invitation = self._invitation(form.fields.get(INVITATION_FIELD))
        except BadInvitation:
            invitation = None  # it expired during the request
        return replace(result, content=page.done(invitation), media_type=MEDIA_TYPE)

    def _render_refused_link(self, request: Request, problem: Problem) -> RouteResult:
        """Return the page with the error of an invitation instead of the form."""
        rendered = self.render_problem(request, problem)
        page = self._page(request)
        assert isinstance(rendered.content, dict)  # noqa: S101 - problem details are an object
        headers = rendered.headers | page.headers(f"accept, {_BY_LANGUAGE}")
        return RouteResult(problem.status, page.form("", {}, rendered.content), MEDIA_TYPE, headers)

    def _render_refused_form(self, request: Request, form: Form, problem: Problem) -> RouteResult:
        """Return the page with the errors of a form and its values, except the password."""
        rendered = self.render_problem(request, problem)
        page = self._page(request)
        content = rendered.content
        assert isinstance(content, dict)  # noqa: S101 - problem details are an object
        # Keep the key if the user may have been created or may retry, so that a retry creates no second user.
        keeps_key = problem.status >= 500 or problem.status == TOO_MANY_REQUESTS  # noqa: PLR2004
        key = (keeps_key and form.headers.get("idempotency-key")) or str(uuid.uuid4())
        try:
            invitation = self._invitation(form.fields.get(INVITATION_FIELD))
        except BadInvitation as exc:
            # The page then has no form, so show the invitation's error instead of the fields' errors.
            invitation = None
            if isinstance(problem, ValidationFailed):
                content = describe_problem(exc, texts(_language(request)))
        body = page.form(key, form.fields, content, rendered.headers.get("retry-after"), invitation)
        return RouteResult(problem.status, body, MEDIA_TYPE, rendered.headers | page.headers(_BY_LANGUAGE))

    def _invitation(self, token: str | None) -> "Invitation | None":
        """Return the invitation of a token.

        Return None without a token, or if the settings are wrong or require no invitation.

        Raises:
            BadInvitation: the token is not valid.
        """
        try:
            settings = self._settings()
        except Misconfigured:
            return None
        if token is None or not settings.invites:
            return None
        # Imported here because few deployments use invitations.
        from signup.invitations.tokens import InvitationTokens  # noqa: PLC0415

        return InvitationTokens([each.key for each in settings.invitation_keys]).verify(token)

    def _as_object(self, fields: dict[str, str]) -> Mapping[str, object]:
        """Return the JSON object with the fields of a form."""
        extra_fields = self._settings().parsed_extra_fields
        return fields if extra_fields is None else extra_fields.from_form(fields)

    def _page(self, request: Request) -> "Page":
        # Imported here because the module imports the template engine, which problem details in JSON do not need.
        from signup.pages.sign_up_page import Page  # noqa: PLC0415

        tag = _language(request)
        if tag in self._pages:
            return self._pages[tag]
        try:
            page = Page(self._settings(), texts(tag))
        except Misconfigured:
            return Page(_PLAIN, texts(tag))
        return self._pages.setdefault(tag, page)


def form_of(request: Request, as_object: Callable[[dict[str, str]], Mapping[str, object]] = dict) -> Form:
    """Return the form in a request.

    Args:
        request: the request.
        as_object: returns the JSON object with the fields of the form.
    """
    headers = dict(request.headers)
    # Keep the parameters of the media type, which `require_json` checks.
    headers["content-type"] = ";".join([JSON, *headers["content-type"].split(";")[1:]])
    return Form(request.read, headers, as_object)


def as_json(request: Request, form: Form) -> Request:
    """Return the JSON request that is equivalent to a form."""
    return replace(request, headers=form.headers, read=form.read)


def _language(request: Request) -> str:
    return language(request.headers.get("accept-language", ""))
