"""The routes of e-mail verification, which respond with pages or JSON."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from signup.fields.models import Model, Rules, validate
from signup.fields.verification import Removed, Requested, ResendRequest, TokenRequest, Verified
from signup.guards.rate_limits import Limits
from signup.i18n.catalog import texts
from signup.pages.handlers import MEDIA_TYPE, as_json, form_of
from signup.pages.verify_page import VerifyPage
from signup.problems import BadVerificationToken, NotAcceptable, Problem, VerificationExpired
from signup.settings import Settings
from signup.verification.service import Verification
from signup.verification.tokens import Claims
from signup.web.app import Delivery
from signup.web.cors import Origins
from signup.web.form_body import Form, query_value
from signup.web.messages import CLIENT, MARGIN, REMOVE, RESEND, VERIFY, PageFailed, Request, Route, RouteResult
from signup.web.negotiation import accepts_html, is_form, language, prefers_html
from signup.web.problem_details import problem_result
from signup.web.request_body import read_object
from signup.web.response_timing import until_the_next_tick

# Existing users may have addresses that the settings refuse now, so only the default rules apply here.
_RULES = Rules()

_Action = Callable[[Request, float], Awaitable[RouteResult]]


@dataclass(frozen=True, slots=True)
class VerificationRoutes:
    """The routes of `VERIFICATION_PATHS`.

    Args:
        settings: the settings of the deployment.
        verification: the use cases.
        limits: the rate limits.
        origins: the origins whose pages may send requests.
        delivery: delivers messages after an address is verified; None if the Worker sends no messages.
    """

    settings: Settings
    verification: Verification
    limits: Limits
    origins: Origins
    delivery: Delivery | None = None

    def routes(self) -> Mapping[str, Mapping[str, Route]]:
        """Return the routes by path and method."""
        return {
            VERIFY: {"POST": partial(self._post, self._verify), "GET": self._read, "HEAD": self._read},
            REMOVE: {"POST": partial(self._post, self._remove)},
            RESEND: {"POST": partial(self._post, self._resend)},
        }

    async def _read(self, request: Request) -> RouteResult:
        """Return the page with the buttons, or the form for a new link if there is no token. Nothing is changed."""
        if not accepts_html(request.headers.get("accept", "")):
            raise NotAcceptable
        token = query_value(request.query, "token")
        page, vary = self._page(request), "accept, accept-language"
        if token is None:
            return RouteResult(200, page.resend(), MEDIA_TYPE, page.headers(vary))
        try:
            claims = self.verification.read(token)
        except Problem as exc:
            raise PageFailed(exc, partial(self._render_failure, request, {}, vary)) from exc
        return RouteResult(200, page.ask(token, claims), MEDIA_TYPE, page.headers(vary))

    async def _post(self, act: _Action, request: Request) -> RouteResult:
        """Respond to JSON with JSON, and to a form with a page if the client prefers HTML."""
        deadline = request.arrived + self.settings.request_deadline - MARGIN
        if not is_form(request.headers.get("content-type", "")):
            return await act(request, deadline)
        form = form_of(request)
        if not prefers_html(request.headers.get("accept", "")):
            return await act(as_json(request, form), deadline)
        vary = "accept-language"
        try:
            result = await act(as_json(request, form), deadline)
        except Exception as exc:
            raise PageFailed(exc, partial(self._render_failure, request, form, vary)) from exc
        page = self._page(request)
        body = page.result(getattr(result.content, "result", "resent"))
        return replace(result, content=body, media_type=MEDIA_TYPE, headers=page.headers(vary))

    async def _verify(self, request: Request, deadline: float) -> RouteResult:
        token = (await self._body(TokenRequest, request, deadline)).token
        verified = Verified(result=await self.verification.verify(token, deadline))
        return RouteResult(200, verified, afterwards=self._deliver)

    async def _remove(self, request: Request, deadline: float) -> RouteResult:
        token = (await self._body(TokenRequest, request, deadline)).token
        return RouteResult(200, Removed(result=await self.verification.remove(token, deadline)))

    async def _resend(self, request: Request, deadline: float) -> RouteResult:
        email = (await self._body(ResendRequest, request, deadline)).email
        await self.limits.admit_address(email)
        await self.verification.resend(email, _language(request), deadline)
        # The response time must not reveal whether an e-mail was recorded. Neither must the time of the next response,
        # which a delivery would delay, so the scheduled run delivers the e-mail.
        await until_the_next_tick(request.arrived)
        return RouteResult(202, Requested())

    async def _deliver(self) -> None:
        if self.delivery is not None:
            await self.delivery.after_response()

    async def _body(self, model: type[Model], request: Request, deadline: float) -> Model:
        """Return the valid body of a request that passes the rate limit and the origin check."""
        await self.limits.admit(request.headers.get(CLIENT, ""))
        self.origins.require_own(request.headers, request.origin, without_referrer=True)
        return validate(model, await read_object(request, deadline), _RULES)

    def _render_failure(
        self, request: Request, form: Form | Mapping[str, Any], vary: str, problem: Problem
    ) -> RouteResult:
        """Return the page with a problem and the user's next step."""
        fields: Mapping[str, str] = form.fields if isinstance(form, Form) else {}
        result = problem_result(problem, request.id, texts(_language(request)))
        details, page = result.content, self._page(request)
        assert isinstance(details, dict)  # noqa: S101 - problem details are an object
        retry_after = result.headers.get("retry-after")
        token = fields.get("token", "")
        claims = None if isinstance(problem, BadVerificationToken | VerificationExpired) else self._claims(token)
        if claims is not None:
            body = page.ask(token, claims, details, retry_after)
        else:
            body = page.resend(fields.get("email", ""), details, retry_after)
        return RouteResult(problem.status, body, MEDIA_TYPE, result.headers | page.headers(vary))

    def _claims(self, token: str) -> Claims | None:
        try:
            return self.verification.read(token)
        except Problem:
            return None

    def _page(self, request: Request) -> VerifyPage:
        return VerifyPage(self.settings, texts(_language(request)))


def _language(request: Request) -> str:
    return language(request.headers.get("accept-language", ""))
