"""The one composition root: settings and the ports of a platform in, the application out."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from signup.app import App, Log, Services
from signup.limits import Limiter, Limits
from signup.models import Rules
from signup.origins import Origins
from signup.passwords import OWASP_16_MIB, Hasher, Kdf, Profile
from signup.proxies import choose
from signup.resilience import ResilientProxy
from signup.service import Guard, SignUp
from signup.settings import Bindings, Settings
from signup.store import PostgresUserStore
from signup.turnstile import BotCheck


@dataclass(frozen=True, slots=True)
class Platform:
    """What the Worker runs on.

    Args:
        transport: makes what httpx sends its requests through.
        kdf: scrypt.
        limiter: returns the rate limiting binding of a name, or None where there is none.
        log: where log lines go.
    """

    transport: Callable[[], httpx.AsyncBaseTransport]
    kdf: Kdf
    limiter: Callable[[str], Limiter | None]
    log: Log


def build(bindings: Bindings, platform: Platform, profile: Profile = OWASP_16_MIB) -> App:
    """Return the application.

    The settings are read when the first request needs them, and again by the next one when they were wrong:
    `GET /health` answers in any case.

    Args:
        bindings: the Worker's bindings.
        platform: what the Worker runs on.
        profile: the parameters of scrypt.
    """
    made: list[Services] = []

    def notify(reason: str) -> None:
        # Once in an isolate's life, because the services are made once.
        platform.log(json.dumps({"event": "warning", "reason": reason}))

    def services() -> Services:
        if not made:
            settings = Settings.from_bindings(bindings)
            # trust_env would read a .netrc and proxy variables, and build a TLS context: all meaningless in an isolate.
            client = httpx.AsyncClient(transport=platform.transport(), timeout=settings.proxy_timeout, trust_env=False)
            proxy = choose(settings.database_url, client, notify)
            repeated = ResilientProxy(proxy)
            limits = Limits(platform.limiter, notify)
            store = PostgresUserStore(repeated)
            guards: list[Guard] = [limits]
            if settings.turnstile:
                guards.append(BotCheck(settings.turnstile, client))
            sign_up = SignUp(store, Hasher(platform.kdf, profile), repeated.require_available, guards)
            rules = Rules(settings.password_min_length, bot_token=settings.turnstile is not None)
            made.append(
                Services(
                    sign_up,
                    limits,
                    Origins(settings.origins),
                    proxy,
                    rules,
                    settings.request_deadline,
                    settings.conceal,
                )
            )
        return made[0]

    return App(services, platform.log)
