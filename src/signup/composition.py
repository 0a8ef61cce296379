"""The composition root: builds the application from the settings and the interfaces of the platform."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Unpack

import httpx

from signup.database.dialects import hyperdrive
from signup.database.dialects.choose import choose
from signup.database.dialects.hyperdrive import Execute
from signup.database.proxy import DataProxy
from signup.database.retry import ResilientProxy
from signup.fields.models import Rules
from signup.guards import breached_passwords
from signup.guards.rate_limits import Limiter, Limits
from signup.guards.turnstile import BotCheck
from signup.hashing.password_hasher import Hasher, Kdf
from signup.hashing.profiles import PROFILES, Argon2id
from signup.hashing.queue import HashQueue
from signup.http_client import Http
from signup.json_codec import encode
from signup.log import Event, Fields, Log
from signup.outbox.binding import EmailBinding
from signup.outbox.message import Mail, Message
from signup.registration.service import Guard, SignUp
from signup.registration.user_store import PostgresUserStore, Recording
from signup.settings import Bindings, Settings
from signup.web.app import App, Delivery, PageRoutes, Services
from signup.web.cors import Origins
from signup.web.messages import MARGIN, Route

if TYPE_CHECKING:
    from signup.verification.mails import MailComposer
    from signup.verification.tokens import TokenSigner


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform on which the Worker runs.

    Args:
        transport: returns the httpx transport for outgoing requests.
        kdf: the key derivation function.
        limiter: returns the named rate limiting binding, or None if it is not bound.
        log: writes log lines.
        email_binding: returns the named `send_email` binding, or None if it is not bound.
        execute: runs statements over Hyperdrive; None if the binding is missing.
    """

    transport: Callable[[], httpx.AsyncBaseTransport]
    kdf: Kdf
    limiter: Callable[[str], Limiter | None]
    log: Log
    email_binding: Callable[[str], EmailBinding | None] = lambda _: None
    execute: Execute | None = None


def build(
    bindings: Bindings,
    platform: Platform,
    profile: Argon2id | None = None,
    clock: Callable[[], float] = time.time,
) -> App:
    """Return the application.

    The first request that needs the settings reads them. If they are wrong, the next such request reads them again.
    `GET /health` needs no settings.

    Args:
        bindings: the Worker's bindings.
        platform: the platform on which the Worker runs.
        profile: the parameters of new hashes; None for the profile in the settings.
        clock: returns the time, in seconds since the epoch.
    """

    def warn(event: Event, /, **fields: Unpack[Fields]) -> None:
        platform.log(encode({"event": event, "level": "warning", **fields}).decode())

    # `cache` does not store exceptions, so wrong settings are read again.
    read_settings = cache(partial(Settings.from_bindings, bindings, clock))

    @cache
    def describe() -> bytes:
        # Imported by the first request for the document, so that sign-ups do not wait for the import.
        from signup.openapi.document import document  # noqa: PLC0415

        return encode(document(read_settings()))

    @cache
    def database() -> tuple[Http, DataProxy, ResilientProxy]:
        settings = read_settings()
        # No exchange may take longer than the request that makes it. This limit also applies to `GET /ready`.
        exchange_timeout = min(settings.proxy_timeout, settings.request_deadline - MARGIN)
        http = Http(platform.transport(), exchange_timeout)
        connect = partial(hyperdrive.connect, platform.execute, exchange_timeout)
        proxy = choose(settings.database_url, http, warn, clock, connect)
        return http, proxy, ResilientProxy(proxy, exchange_timeout)

    @cache
    def services() -> Services:
        settings = read_settings()
        http, proxy, statements = database()
        limits = Limits(platform.limiter, warn)
        guards: list[Guard] = [limits]
        if settings.invites:
            # Check the invitation first, so that requests without one do not use up the rate limit of an address.
            guards.insert(0, _invitation_guard(settings))
        if settings.turnstile:
            guards.append(BotCheck(settings.turnstile, http))
        if settings.breach_check != "off":
            api = breached_passwords.RangeApi(http, settings.breach_api_url, settings.breach_timeout)
            guards.append(breached_passwords.BreachCheck(api, warn, strict=settings.breach_check == "strict"))
        parameters = profile or PROFILES[settings.hash_profile]
        queue = HashQueue(platform.kdf, parameters, settings.request_deadline, settings.hash_queue)
        hasher = Hasher(queue, parameters, settings.peppers)
        rules = Rules(
            settings.password_min_length,
            settings.service_name,
            subaddressing=settings.subaddressing,
            bot_token=settings.turnstile is not None,
            refuses_domain=_domain_policy(settings),
        )
        recording = delivery = None
        if settings.mail_url or settings.webhook_url:
            recording = Recording(
                verify=settings.verifies,
                ttl=settings.verification_ttl,
                webhook=bool(settings.webhook_url),
                conceal=settings.conceal and bool(settings.mail_url),
            )
            delivery = _delivery(settings, http, statements, platform)
        return Services(
            SignUp(PostgresUserStore(statements, recording), hasher, statements.require_available, guards),
            queue,
            limits,
            Origins(settings.origins),
            proxy,
            rules,
            settings.request_deadline,
            describe,
            settings.conceal,
            delivery,
            settings.closed,
            settings.verifies,
            settings.invites,
            settings.terms_version,
            settings.parsed_extra_fields,
        )

    def verification_routes() -> Mapping[str, Mapping[str, Route]]:
        settings = read_settings()
        return _verification_routes(settings, services(), database()[2]) if settings.verifies else {}

    return App(services, platform.log, cache(partial(_page_routes, read_settings)), cache(verification_routes))


def _verification_routes(
    settings: Settings, services: Services, statements: ResilientProxy
) -> Mapping[str, Mapping[str, Route]]:
    # Imported by the first request to a verification path, so that sign-ups do not wait for the imports.
    from signup.pages.verification import VerificationRoutes  # noqa: PLC0415
    from signup.verification.service import Verification  # noqa: PLC0415
    from signup.verification.store import PostgresVerificationStore  # noqa: PLC0415

    store = PostgresVerificationStore(statements, webhook=bool(settings.webhook_url))
    verification = Verification(_signer(settings), store)
    return VerificationRoutes(settings, verification, services.limits, services.origins, services.delivery).routes()


def _delivery(settings: Settings, http: Http, statements: ResilientProxy, platform: Platform) -> Delivery:
    # Imported only if the Worker sends messages, to keep the cold starts of other deployments short.
    from signup.outbox import delivery  # noqa: PLC0415
    from signup.outbox.mail.channel import mail_channel  # noqa: PLC0415
    from signup.outbox.mail.choose import choose as choose_mailer  # noqa: PLC0415
    from signup.outbox.store import PostgresOutbox  # noqa: PLC0415
    from signup.outbox.webhook import webhook_channel  # noqa: PLC0415

    channels = []
    if settings.mail_url:
        mailer = choose_mailer(settings.mail_url, settings.mail_from, http, platform.email_binding, platform.log)
        channels.append(mail_channel(mailer, _composer(settings)))
    if settings.webhook_url:
        channels.append(webhook_channel(http, settings.webhook_url, settings.webhook_secret))
    return delivery.Delivery(PostgresOutbox(statements), channels, platform.log)


def _composer(settings: Settings) -> Callable[[Message], Mail]:
    @cache
    def composer() -> "MailComposer":
        # Imported here because the module imports the template engine, which no JSON response needs.
        from signup.verification.mails import MailComposer  # noqa: PLC0415

        # Without verification there may be no signing keys, and links would lead to a missing page.
        signer = _signer(settings) if settings.verifies else None
        return MailComposer(signer, settings.public_url, settings.service_name, settings.verification_ttl)

    return lambda message: composer().compose(message)


def _signer(settings: Settings) -> "TokenSigner":
    from signup.verification.tokens import TokenSigner  # noqa: PLC0415

    return TokenSigner([each.key for each in settings.verification_keys])


def _invitation_guard(settings: Settings) -> Guard:
    # Imported only if sign-ups need invitations, to keep the cold starts of other deployments short.
    from signup.invitations.guard import InvitationGuard  # noqa: PLC0415
    from signup.invitations.tokens import InvitationTokens  # noqa: PLC0415

    tokens = InvitationTokens([each.key for each in settings.invitation_keys])
    return InvitationGuard(tokens, count_taken=settings.conceal)


def _domain_policy(settings: Settings) -> Callable[[str], bool] | None:
    """Return the function that checks the domain of an address; None if no setting restricts domains."""
    if not settings.restricts_domains:
        return None
    # Imported here because few deployments restrict domains.
    from signup.fields.disposable_domains import is_disposable  # noqa: PLC0415
    from signup.fields.email_domains import DomainPolicy, parse_domains  # noqa: PLC0415

    allowed, blocked = settings.email_domains_allowed, settings.email_domains_blocked
    return DomainPolicy(
        parse_domains(allowed) if allowed else None,
        parse_domains(blocked) if blocked else None,
        is_disposable if settings.disposable_email == "refuse" else None,
    ).refuses


def _page_routes(settings: Callable[[], Settings]) -> PageRoutes:
    # Imported when a request needs a page or problem details. A successful sign-up with JSON needs neither.
    from signup.pages.handlers import Pages  # noqa: PLC0415

    return Pages(settings)
