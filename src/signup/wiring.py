"""The one composition root: settings and the ports of a platform in, the application out."""

import json
from collections.abc import Callable

import httpx

from signup import breaches
from signup.app import App, Log, Services
from signup.hashing import BoundedKdf, places
from signup.models import Rules
from signup.passwords import PROFILES, Hasher, Kdf, Profile
from signup.proxies import choose
from signup.resilience import ResilientProxy
from signup.service import Guard, SignUp
from signup.settings import Bindings, Settings
from signup.store import PostgresUserStore


def build(
    bindings: Bindings,
    transport: Callable[[], httpx.AsyncBaseTransport],
    kdf: Kdf,
    log: Log,
    profile: Profile | None = None,
) -> App:
    """Return the application.

    The settings are read when the first request needs them, and again by the next one when they were wrong:
    `GET /health` answers in any case.

    Args:
        bindings: the Worker's bindings.
        transport: makes what httpx sends its requests through.
        kdf: scrypt.
        log: where log lines go.
        profile: the parameters of scrypt, if not those of the settings.
    """
    made: list[Services] = []

    def warn(reason: str) -> None:
        log(json.dumps({"event": "warning", "reason": reason}))

    def services() -> Services:
        if not made:
            settings = Settings.from_bindings(bindings)
            # trust_env would read a .netrc and proxy variables, and build a TLS context: all meaningless in an isolate.
            client = httpx.AsyncClient(transport=transport(), timeout=settings.proxy_timeout, trust_env=False)
            proxy = choose(settings.database_url, client, warn)
            repeated = ResilientProxy(proxy)
            guards: list[Guard] = []
            if settings.breach_check != "off":
                api = breaches.RangeApi(client, breaches.endpoint(settings.breach_api_url), settings.breach_timeout)
                guards.append(breaches.BreachCheck(api, warn, strict=settings.breach_check == "strict"))
            parameters = profile or PROFILES[settings.hash_profile]
            queue = settings.hash_queue or places(settings.request_deadline, parameters)
            bounded = BoundedKdf(kdf, queue, settings.request_deadline)
            hasher = Hasher(bounded, parameters, settings.peppers)
            sign_up = SignUp(PostgresUserStore(repeated), hasher, repeated.require_available, guards)
            rules = Rules(settings.password_min_length, settings.service_name)
            made.append(Services(sign_up, proxy, rules, settings.request_deadline))
        return made[0]

    return App(services, log)
