"""The one composition root: settings and the ports of a platform in, the application out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import httpx

from signup.database.dialects import hyperdrive
from signup.database.dialects.choose import choose
from signup.database.dialects.hyperdrive import Execute
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
from signup.registration.service import Guard, SignUp
from signup.registration.user_store import PostgresUserStore
from signup.settings import Bindings, Settings
from signup.web.app import MARGIN, App, Log, PageRoutes, Services
from signup.web.cors import Origins


@dataclass(frozen=True, slots=True)
class Platform:
    """What the Worker runs on.

    Args:
        transport: makes what httpx sends its requests through.
        kdf: the key derivation function.
        limiter: returns the rate limiting binding of a name, or None where there is none.
        log: where log lines go.
        execute: runs statements over Hyperdrive; None without that binding.
    """

    transport: Callable[[], httpx.AsyncBaseTransport]
    kdf: Kdf
    limiter: Callable[[str], Limiter | None]
    log: Log
    execute: Execute | None = None


def build(bindings: Bindings, platform: Platform, profile: Argon2id | None = None) -> App:
    """Return the application.

    The settings are read when the first request needs them, and again by the next one when they were wrong:
    `GET /health` answers in any case.

    Args:
        bindings: the Worker's bindings.
        platform: what the Worker runs on.
        profile: the parameters of new hashes, if not those of the settings.
    """

    def warn(reason: str) -> None:
        platform.log(encode({"event": "warning", "reason": reason}).decode())

    # `cache` keeps no exception: settings that were wrong are read again.
    checked = cache(partial(Settings.from_bindings, bindings))

    @cache
    def describe() -> bytes:
        # Imported when a request asks for it: no sign-up waits for it.
        from signup.openapi.document import document  # noqa: PLC0415

        return encode(document(checked()))

    @cache
    def services() -> Services:
        settings = checked()
        # No exchange outlasts the request, that of `GET /ready` included.
        longest = min(settings.proxy_timeout, settings.request_deadline - MARGIN)
        http = Http(platform.transport(), longest)
        proxy = choose(settings.database_url, http, warn, partial(hyperdrive.connect, platform.execute, longest))
        repeated = ResilientProxy(proxy, longest)
        limits = Limits(platform.limiter, warn)
        guards: list[Guard] = [limits]
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
        )
        return Services(
            SignUp(PostgresUserStore(repeated), hasher, repeated.require_available, guards),
            queue,
            limits,
            Origins(settings.origins),
            proxy,
            rules,
            settings.request_deadline,
            describe,
            settings.conceal,
        )

    return App(services, platform.log, cache(partial(_page_routes, checked)))


def _page_routes(settings: Callable[[], Settings]) -> PageRoutes:
    # Imported when a request needs a page or problem details: no sign-up by JSON waits for it.
    from signup.pages.handlers import Pages  # noqa: PLC0415

    return Pages(settings)
