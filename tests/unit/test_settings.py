"""The Worker's settings, which are read from its bindings."""

from contextlib import nullcontext

import pytest
from pydantic import SecretStr

from signup.hashing.profiles import PROFILES
from signup.outbox.mail.choose import Provider, find_provider
from signup.problems import Misconfigured
from signup.settings import Settings
from sqlproxy.errors import SettingError
from sqlproxy.operations.settings import read as read_proxy_settings

URL = "sql+http://token@127.0.0.1:1/"
KEY = "A" * 43 + "="
WEBHOOK_SECRET = f"whsec_{'A' * 32}"
VERIFICATION = {
    "DATABASE_URL": URL,
    "EMAIL_VERIFICATION": "on",
    "MAIL_URL": "log:",
    "MAIL_FROM": "accounts@example.com",
    "PUBLIC_URL": "https://signup.example.com",
    "VERIFICATION_SECRET": f"b:{KEY}, a:{KEY}",
}


def test_defaults_apply_with_database_url_alone() -> None:
    """White space around DATABASE_URL is removed."""
    settings = Settings.from_bindings({"DATABASE_URL": f" {URL}\n"}.get)
    assert settings.database_url.get_secret_value() == URL
    assert (settings.password_min_length, settings.proxy_timeout, settings.request_deadline) == (15, 5.0, 10.0)
    assert (settings.service_name, settings.breach_check, settings.breach_timeout) == ("signup", "off", 1.0)
    assert (settings.hash_profile, settings.hash_queue, settings.peppers.current) == ("m=19456,t=2,p=1", 0, None)
    assert settings.breach_api_url == "https://api.pwnedpasswords.com/range/"


def test_a_hyperdrive_binding_is_used_without_database_url() -> None:
    """If both are set, DATABASE_URL takes precedence."""
    assert Settings.from_bindings({"HYPERDRIVE": object()}.get).database_url.get_secret_value() == "hyperdrive:"
    bindings = {"HYPERDRIVE": object(), "DATABASE_URL": URL}
    assert Settings.from_bindings(bindings.get).database_url.get_secret_value() == URL


@pytest.mark.parametrize(("min_length", "timeout"), [("8", "0.5"), (8, 0.5), (8.0, 0.5)])
def test_vars_can_be_text_or_numbers(min_length: object, timeout: object) -> None:
    """Wrangler passes the vars of .dev.vars as text, and those of wrangler.toml with their types."""
    bindings = {"DATABASE_URL": URL, "PASSWORD_MIN_LENGTH": min_length, "PROXY_TIMEOUT": timeout}
    settings = Settings.from_bindings(bindings.get)
    assert (settings.password_min_length, settings.proxy_timeout) == (8, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DATABASE_URL", value) for value in (None, "", "  ", 5, "mysql://canary@db.example.com/x")),
        *(("PASSWORD_MIN_LENGTH", value) for value in ("7", 7, "129", "fifteen-canary", "15.5", "nan", "inf", [15])),
        *(("REQUEST_DEADLINE", value) for value in ("0.4", "301", "never-canary")),
        *(
            ("CORS_ORIGINS", value)
            for value in ("*", "null", "https://Canary.example", "https://canary.example/", "http://canary.example")
        ),
        *(("CORS_ORIGINS", value) for value in ("https://canary.example:443", "https://a.example canary", 5)),
        *(("EMAIL_SUBADDRESSING", value) for value in ("canary", "REFUSE", 0)),
        *(("SIGN_UP", value) for value in ("canary", "Closed", "Invite", False)),
        *(("DISPOSABLE_EMAIL", value) for value in ("canary", "Refuse", True)),
        *(
            (f"EMAIL_DOMAINS_{kind}", value)
            for kind in ("ALLOWED", "BLOCKED")
            for value in (
                *("canary", "@canary.example", "ada@canary.example", "https://canary.example", "canary.example:25"),
                *("*canary.example", "*.*.canary.example", "canary.*", "*.", "*", "canary.example.", ".canary.example"),
                *("canary..example", "can ary.example", "a.example canary.example", "a.example;canary.example"),
                *(
                    "canary_.example",
                    "-canary.example",
                    f"{'a' * 64}.example",
                    "127.0.0.1",
                    "[127.0.0.1]",
                    "canary.test",
                ),
                *(
                    "p\u0430ypal-canary.com",
                    "xn--canary-.com",
                    "xn--zz-canary.com",
                    "*.xn--zz-canary.com",
                    "\U0001f984.com",
                ),
                *(",", " , ", 5, ["canary.example"], "a.example," * 10_001),
            )
        ),
        *(("DUPLICATE_RESPONSE", value) for value in ("canary", "Conceal", 1)),
        *(("SERVICE_NAME", value) for value in (5, True, ["canary"])),
        *(("HASH_PROFILE", value) for value in ("16", 32, "64", "m=65536,t=3,p=4", "canary")),
        *(("HASH_QUEUE", value) for value in ("-1", 1001, 1.5, "canary")),
        *(("PASSWORD_PEPPER", value) for value in ("canary", "canary:c2hvcnQ=", 5)),
        *(("PASSWORD_PEPPER_PREVIOUS", value) for value in ("canary", ",", 5)),
        *(("BREACH_CHECK", value) for value in ("maybe-canary", "ON", True, 1)),
        *(("BREACH_TIMEOUT", value) for value in ("0.05", "6", "soon-canary")),
        *(
            ("BREACH_API_URL", value)
            for value in (5, ["canary"], "ftp://127.0.0.1/canary", "canary", "https:///canary")
        ),
        *(
            ("BREACH_API_URL", f"https://{value}")
            for value in ("[canary/", "canary:99999/", "user:canary@lists.example/")
        ),
        *(
            ("BREACH_API_URL", f"https://lists.example/{value}")
            for value in ("?canary", "#canary", "can ary", "can\u00e4ry")
        ),
        *(("PROXY_TIMEOUT", value) for value in ("0", "31", "soon-canary")),
        *(("PAGE_COLOUR", value) for value in ("canary", "#fff", "#ffcc0g", "#ffcc00;canary", "ffcc00", 5)),
        *(
            ("NEXT_URL", value)
            for value in ("canary", "http://canary.example/", "https://a@canary.example", "//canary")
        ),
        *(("NEXT_URL", value) for value in ("https://canary.example/\r\nx: y", "https://canary.example/\u00e9", 5)),
        *(
            ("NEXT_URL", value)
            for value in (f"https://{'a' * 70}.canary", "https://canary..example", "https://canary:99999")
        ),
        *(
            ("CORS_ORIGINS", value)
            for value in (f"https://{'a' * 70}.canary", "https://canary-", "https://canary:99999")
        ),
        *(("SERVICE_NAME", value) for value in ("canary\ud800",)),
        ("REQUEST_DEADLINE", 10**400),
        *(("NEXT_URL", value) for value in ("https://canary.example; script-src *", "javascript:canary", "https://")),
        *(("EMAIL_VERIFICATION", value) for value in ("canary", "ON", True)),
        *(("VERIFICATION_TTL", value) for value in ("299", 2592001, "canary")),
        *(
            (f"{kind}_SECRET", value)
            for kind in ("VERIFICATION", "INVITATION")
            for value in ("canary", f"canary:{KEY},canary:{KEY}", f"a:{KEY},", 5)
        ),
        *(("PUBLIC_URL", value) for value in ("canary", "https://u:canary@a.example", "https://a.example/?canary")),
        *(("MAIL_URL", value) for value in ("canary", "smtp://canary@a.example", "log:canary", "log", "log+http:", 5)),
        *(("MAIL_URL", value) for value in ("cloudflare://canary", "resend:canary", "resend://api.canary.example")),
        *(("MAIL_URL", f"resend://{value}") for value in ("a:canary@a.example", "canary@", "a@a.example/?canary")),
        *(("MAIL_URL", f"postmark://a@{value}") for value in ("a.example/CANARY", "a.example/canary/b", "canary:x")),
        *(
            ("MAIL_FROM", value)
            for value in ("canary", "canary@", "Canary <a@b.example>, c@d.example", "A\r\n <a@b.c>", 5)
        ),
        *(("WEBHOOK_URL", value) for value in ("canary", "ftp://canary.example", "https://u:canary@a.example/", 5)),
        *(
            ("WEBHOOK_SECRET", value)
            for value in ("canary", f"whsec_{'A' * 31}", "whsec_c2hvcnQ=", f"{WEBHOOK_SECRET},")
        ),
        *(("WEBHOOK_SECRET", value) for value in (f"whsec_{'A' * 88}", 5)),
    ],
)
def test_an_invalid_setting_is_named(name: str, value: object) -> None:
    """The problem names the setting and does not contain its value."""
    bindings: dict[str, object] = {"DATABASE_URL": URL, name: value}
    with pytest.raises(Misconfigured, match=name) as caught:
        Settings.from_bindings(bindings.get)
    assert caught.value.setting == name
    assert "canary" not in str(caught.value)


def test_an_empty_var_counts_as_unset() -> None:
    """An example is `PROXY_TIMEOUT=` in a dotenv file."""
    assert Settings.from_bindings({"DATABASE_URL": URL, "PROXY_TIMEOUT": ""}.get).proxy_timeout == 5.0


def test_taken_addresses_are_concealed_only_if_configured() -> None:
    """By default, and with `conflict`, taken addresses are not concealed."""
    for value, conceal in ((None, False), ("", False), ("conflict", False), ("conceal", True)):
        assert Settings.from_bindings({"DATABASE_URL": URL, "DUPLICATE_RESPONSE": value}.get).conceal is conceal


def test_anyone_may_sign_up_by_default() -> None:
    """Sign-ups are open, and all domains are allowed. SIGN_UP=closed and each domain setting take effect alone."""
    settings = Settings.from_bindings({"DATABASE_URL": URL}.get)
    assert (settings.closed, settings.restricts_domains) == (False, False)
    assert Settings.from_bindings({"DATABASE_URL": URL, "SIGN_UP": "closed"}.get).closed
    for name, value in (("ALLOWED", "a.example"), ("BLOCKED", "a.example")):
        assert Settings.from_bindings({"DATABASE_URL": URL, f"EMAIL_DOMAINS_{name}": value}.get).restricts_domains
    assert Settings.from_bindings({"DATABASE_URL": URL, "DISPOSABLE_EMAIL": "refuse"}.get).restricts_domains


def test_page_colour_and_next_url_are_optional() -> None:
    """NEXT_URL may have a path, a query and a fragment. It uses https or a loopback host."""
    settings = Settings.from_bindings({"DATABASE_URL": URL}.get)
    assert (settings.page_colour, settings.next_url) == ("", "")
    for url in (
        *("https://www.example.com", "https://www.example.com:8443/a?b=c#d", "https://xn--bcher-kva.example?x"),
        *("http://localhost:3000/", "http://127.0.0.1#top"),
    ):
        settings = Settings.from_bindings({"DATABASE_URL": URL, "PAGE_COLOUR": " #FFcc00 ", "NEXT_URL": url}.get)
        assert (settings.page_colour, settings.next_url) == ("#FFcc00", url)


def test_turnstile_is_enabled_by_its_secret() -> None:
    """Action, URL and timeout have defaults, and the site key is optional."""
    bindings: dict[str, object] = {"DATABASE_URL": URL, "TURNSTILE_HOSTNAMES": "Example.com, www.example.com,"}
    assert Settings.from_bindings(bindings.get).turnstile is None
    turnstile = Settings.from_bindings({**bindings, "TURNSTILE_SECRET": "canary"}.get).turnstile
    assert turnstile is not None
    assert turnstile.hostnames == {"example.com", "www.example.com"}
    assert (turnstile.action, turnstile.timeout) == ("sign-up", 3.0)
    assert turnstile.url.startswith("https://challenges.cloudflare.com/")
    assert turnstile.site_key == ""
    keys = {"TURNSTILE_SECRET": "x", "TURNSTILE_SITE_KEY": "0x4AAAAAAA-b_c"}
    turnstile = Settings.from_bindings((bindings | keys).get).turnstile
    assert turnstile is not None
    assert turnstile.site_key == "0x4AAAAAAA-b_c"
    assert "canary" not in repr(turnstile)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TURNSTILE_HOSTNAMES", " ,"),
        ("TURNSTILE_HOSTNAMES", None),
        ("TURNSTILE_TIMEOUT", "0"),
        ("TURNSTILE_URL", "http://canary.example.com/"),
        ("TURNSTILE_URL", "http://127.0.0.1.example.com/canary"),
        ("TURNSTILE_URL", "canary"),
        ("TURNSTILE_URL", "https://[canary"),
        ("TURNSTILE_URL", "https://canary:99999/"),
        ("TURNSTILE_URL", f"https://{'a' * 70}.canary/"),
        ("TURNSTILE_URL", "https://xn--zz-canary/"),
        ("TURNSTILE_URL", "https://canary.example/\ud800"),
        ("TURNSTILE_SECRET", 5),
        ("TURNSTILE_SITE_KEY", '"><canary'),
    ],
)
def test_an_invalid_turnstile_setting_is_named(name: str, value: object) -> None:
    """Settings that would accept every token or send the secret unencrypted are invalid, too."""
    bindings: dict[str, object] = {"DATABASE_URL": URL, "TURNSTILE_SECRET": "x", "TURNSTILE_HOSTNAMES": "x"}
    with pytest.raises(Misconfigured, match=name) as caught:
        Settings.from_bindings((bindings | {name: value}).get)
    assert "canary" not in str(caught.value)


def test_cors_origins_is_a_list() -> None:
    """Origins are separated by commas, and use https or a loopback host. By default, the list is empty."""
    assert Settings.from_bindings({"DATABASE_URL": URL}.get).origins == frozenset()
    value = "https://www.example.com, http://localhost:3000,https://a.example:8443,"
    origins = Settings.from_bindings({"DATABASE_URL": URL, "CORS_ORIGINS": value}.get).origins
    assert origins == {"https://www.example.com", "http://localhost:3000", "https://a.example:8443"}


def test_an_invalid_choice_lists_the_allowed_values() -> None:
    """White space around a value is removed, and an empty value means the default."""
    with pytest.raises(Misconfigured, match="BREACH_CHECK must be off, on or strict"):
        Settings.from_bindings({"DATABASE_URL": URL, "BREACH_CHECK": "yes"}.get)
    for value, expected in ((" strict ", "strict"), ("on", "on"), ("", "off")):
        assert Settings.from_bindings({"DATABASE_URL": URL, "BREACH_CHECK": value}.get).breach_check == expected


def test_the_hashing_settings_are_parsed() -> None:
    """The hashing settings are the profile, the queue length, and the current and previous peppers."""
    key = "A" * 43 + "="
    bindings = {
        "DATABASE_URL": URL,
        "HASH_PROFILE": " m=47104,t=1,p=1",
        "HASH_QUEUE": "7",
        "PASSWORD_PEPPER": f"b:{key}\n",
        "PASSWORD_PEPPER_PREVIOUS": f"a:{key}",
    }
    settings = Settings.from_bindings(bindings.get)
    assert (settings.hash_profile, settings.hash_queue) == ("m=47104,t=1,p=1", 7)
    assert settings.peppers.current == settings.peppers.known["b"]
    assert settings.peppers.known.keys() == {"a", "b"}
    assert key not in repr(settings)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://lists.example/range/", "https://lists.example/range/"),
        ("https://lists.example/range", "https://lists.example/range/"),
        ("https://lists.example:8443", "https://lists.example:8443/"),
        ("http://127.0.0.1:81/range/", "http://127.0.0.1:81/range/"),
    ],
)
def test_the_breach_check_url_ends_with_a_slash(value: str, expected: str) -> None:
    """The prefix of a hash is appended to the URL."""
    assert Settings.from_bindings({"DATABASE_URL": URL, "BREACH_API_URL": value}.get).breach_api_url == expected


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.8.9.1", "[::1]")),
        *((host, False) for host in ("10.0.0.1", "[::2]", "localhost.example.com", "127.0.0.1.example.com")),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("DATABASE_URL", "NEXT_URL", "BREACH_API_URL", "CORS_ORIGINS", "TURNSTILE_URL"),
        *("PUBLIC_URL", "WEBHOOK_URL", "MAIL_URL"),
    ],
)
def test_plain_http_is_allowed_for_loopback_only(name: str, host: str, is_loopback: bool) -> None:
    """Without TLS or --insecure-listen, sqlproxy may listen only on loopback.

    The host of NEXT_URL cannot be [::1], because a Content Security Policy cannot contain IPv6 addresses.
    """
    schemes = {"DATABASE_URL": "sql+http://token@", "MAIL_URL": "resend+http://key@"}
    value = f"{schemes.get(name, 'http://')}{host}"
    accepted = is_loopback and (name, host) != ("NEXT_URL", "[::1]")
    bindings = {"DATABASE_URL": URL, "MAIL_FROM": "a@example.com", "WEBHOOK_SECRET": WEBHOOK_SECRET, name: value}
    with nullcontext() if accepted else pytest.raises(Misconfigured, match=f"^{name} "):
        Settings.from_bindings(bindings.get)
    proxy = {"SQLPROXY_DATABASE_URL": "postgres://db/x", "SQLPROXY_TOKEN": "t" * 16, "SQLPROXY_HOST": host.strip("[]")}
    with nullcontext() if is_loopback else pytest.raises(SettingError, match="is not loopback"):
        read_proxy_settings({}, proxy)


def test_the_message_states_the_allowed_values() -> None:
    """The message states the type, the choices, the bounds or the example from the setting's declaration."""
    for name, value, reason in (
        ("HASH_PROFILE", "16", f"must be {', '.join([*PROFILES][:-1])} or m=7168,t=5,p=1"),
        ("PASSWORD_MIN_LENGTH", "7", "must be a whole number from 8 to 128"),
        ("PROXY_TIMEOUT", "soon", "must be a number from 0.1 to 30"),
        ("PAGE_COLOUR", "red", "must look like #1d4ed8"),
        ("SERVICE_NAME", 5, "must be text"),
        ("SIGN_UP", "invited", "must be open, invite or closed"),
        (
            "EMAIL_DOMAINS_BLOCKED",
            "a.example, @b.example",
            "must list domains like example.com or *.example.com; entry 2 is invalid",
        ),
        ("EMAIL_DOMAINS_ALLOWED", "a.example," * 10_001, "must list 1 to 10000 domains"),
        ("SERVICE_NAME", "\ud800", "must be text in UTF-8"),
    ):
        with pytest.raises(Misconfigured) as caught:
            Settings.from_bindings({"DATABASE_URL": URL, name: value}.get)
        assert str(caught.value) == f"{name} {reason}"
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_every_hash_profile_is_a_choice() -> None:
    """The choices of HASH_PROFILE are the names of the profiles."""
    assert Settings.model_json_schema()["properties"]["hash_profile"]["enum"] == list(PROFILES)


def test_verification_is_off_by_default_and_needs_four_settings() -> None:
    """With EMAIL_VERIFICATION=on, the error names the missing setting."""
    settings = Settings.from_bindings({"DATABASE_URL": URL}.get)
    assert (settings.verifies, settings.verification_ttl, settings.verification_keys) == (False, 86400, ())
    settings = Settings.from_bindings(VERIFICATION.get)
    assert settings.verifies
    assert [key.key_id for key in settings.verification_keys] == ["b", "a"]
    assert settings.public_url == "https://signup.example.com/"
    assert KEY not in repr(settings)
    for name in ("MAIL_URL", "MAIL_FROM", "PUBLIC_URL", "VERIFICATION_SECRET"):
        bindings = {key: value for key, value in VERIFICATION.items() if key != name}
        with pytest.raises(Misconfigured, match=f"^{name} must be set with EMAIL_VERIFICATION$"):
            Settings.from_bindings(bindings.get)


def test_invitations_are_off_by_default_and_need_a_secret() -> None:
    """INVITATION_SECRET may list several keys. Without SIGN_UP=invite it has no effect."""
    bindings = {"DATABASE_URL": URL, "SIGN_UP": "invite", "INVITATION_SECRET": f"b:{KEY}, a:{KEY}"}
    settings = Settings.from_bindings(bindings.get)
    assert (settings.invites, settings.closed) == (True, False)
    assert [key.key_id for key in settings.invitation_keys] == ["b", "a"]
    assert KEY not in repr(settings)
    assert not Settings.from_bindings({**bindings, "SIGN_UP": ""}.get).invites
    with pytest.raises(Misconfigured, match=r"^INVITATION_SECRET must be set with SIGN_UP=invite$"):
        Settings.from_bindings({"DATABASE_URL": URL, "SIGN_UP": "invite"}.get)


def test_emails_need_a_sender_and_webhooks_a_secret() -> None:
    """WEBHOOK_SECRET may list several secrets. MAIL_FROM may include a display name."""
    for setting, missing in (
        ({"MAIL_URL": "log:"}, "MAIL_FROM"),
        ({"WEBHOOK_URL": "https://a.example"}, "WEBHOOK_SECRET"),
    ):
        with pytest.raises(Misconfigured, match=f"^{missing} must be set with {next(iter(setting))}$"):
            Settings.from_bindings({"DATABASE_URL": URL, **setting}.get)
    for name, value in (
        *(
            ("MAIL_FROM", value)
            for value in ("a@example.com", "Tea & Cake Ltd. <a@example.com>", "J\u00f6rg <a@b.example>")
        ),
        ("WEBHOOK_SECRET", f"{WEBHOOK_SECRET}, whsec_{'B' * 86}=="),
    ):
        settings = Settings.from_bindings({"DATABASE_URL": URL, name: value}.get)
        assert value in {settings.mail_from, settings.webhook_secret.get_secret_value()}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("cloudflare:", Provider("cloudflare")),
        ("log:", Provider("log")),
        ("resend://re_1%2F2@api.resend.com", Provider("resend", "https://api.resend.com", SecretStr("re_1/2"))),
        (
            "postmark://t-1@api.postmarkapp.com/broadcasts/",
            Provider("postmark", "https://api.postmarkapp.com", SecretStr("t-1"), "broadcasts"),
        ),
        ("postmark+http://t@127.0.0.1:81", Provider("postmark", "http://127.0.0.1:81", SecretStr("t"))),
    ],
)
def test_mail_url_chooses_the_provider(value: str, expected: Provider) -> None:
    """The API key is percent-decoded; Postmark's path is the message stream."""
    assert find_provider(SecretStr(value)) == expected
