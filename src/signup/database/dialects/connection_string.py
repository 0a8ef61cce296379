"""Read DATABASE_URL as users paste it, and check the parameters of connection strings that are used over HTTP.

Connection strings are written for clients that open connections. A parameter is accepted if its value has no effect
over HTTP. Unknown parameters, and values that would change the behaviour, are refused. docs/connection-strings.md lists
the known parameters.
"""

import re
from urllib.parse import SplitResult, parse_qsl, quote

from signup import urls
from signup.problems import Misconfigured

SETTING = "DATABASE_URL"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_AUTHORITY_END = re.compile(r"[/?#]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# RFC 3986: characters that a user or password may contain unencoded, and `%`.
_USERINFO = "!$&'()*+,;=%~"
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,40}")

_HTTPS = "the data proxy is reached only over https, with a verified certificate: remove it"
_NO_FILES = "a Worker has no files and sends no client certificate: remove it"
_BEFORE_QUERY = "it belongs before the question mark: postgres://user:password@host/db"
_SESSION = "a statement over HTTP has no session: remove it"
_SCHEMA = "the Worker's table is in the schema public: remove it"

# For each parameter, a regular expression of the accepted values, which have no effect over HTTP, and the reason why
# other values are refused. With "", every value is refused.
PARAMETERS = {
    "sslmode": ("allow|prefer|require|verify-ca|verify-full", _HTTPS),
    "ssl": ("true|1", _HTTPS),
    "sslaccept": ("strict|accept_invalid_certs", _HTTPS),
    "sslrootcert": ("system", _HTTPS),
    "sslnegotiation": ("postgres|direct", _HTTPS),
    "gssencmode": ("disable|prefer", _HTTPS),
    **dict.fromkeys(("sslcert", "sslkey", "sslidentity", "sslpassword", "sslcrl"), ("", _NO_FILES)),
    # Parameters of the data proxy's own connection to Postgres.
    "channel_binding": ("disable|prefer|require", "it must be disable, prefer or require"),
    "application_name": (".*", ""),
    "uselibpqcompat": ("true|false", "it must be true or false"),
    # Parameters of connections that a client opens. Over HTTP the Worker opens none.
    "pgbouncer": ("true|false", "it must be true or false"),
    "target_session_attrs": ("any|read-write|primary", "sign-ups need a writable server: remove it"),
    **dict.fromkeys(
        ("connect_timeout", "connection_limit", "pool_timeout", "statement_cache_size"),
        ("[0-9]+", "it must be a number"),
    ),
    **dict.fromkeys(("socket_timeout", "statement_timeout"), ("0", "use PROXY_TIMEOUT: remove it")),
    **dict.fromkeys(("schema", "search_path", "currentSchema"), ("public", _SCHEMA)),
    "options": ("", _SESSION),
    **dict.fromkeys(("host", "hostaddr", "port", "user", "password", "dbname"), ("", _BEFORE_QUERY)),
}


def read(text: str) -> SplitResult:
    """Return the parts of a DATABASE_URL, with the user and the password percent-encoded.

    A pair of quotes around the URL is removed. A password may contain an `@`: the last `@` separates it from the host.

    Raises:
        Misconfigured: the URL is malformed; the message does not quote it.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    scheme, separator, after_scheme = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise Misconfigured(SETTING, "is not a plain URL: remove quotes, commands and names around it")
    authority = _AUTHORITY_END.split(after_scheme, maxsplit=1)[0]
    tail = after_scheme[len(authority) :]
    userinfo, at, host = authority.rpartition("@")
    if "@" in tail or "#" in tail:
        raise Misconfigured(
            SETTING,
            "has an @ or a # after the host: percent-encode a user, password or token that has a / ? or # "
            "(/ is %2F, ? is %3F, # is %23, @ is %40)",
        )
    if _BROKEN_ESCAPE.search(text):
        raise Misconfigured(SETTING, "has a % that is not part of a percent-escape: write it as %25")
    if "," in host:
        raise Misconfigured(SETTING, "names several hosts, but HTTP uses one: keep the primary")
    # Other characters are refused by `urls.parse`.
    if userinfo.isascii() and userinfo.isprintable() and " " not in userinfo:
        user, colon, password = userinfo.partition(":")
        userinfo = f"{quote(user, safe=_USERINFO)}{colon}{quote(password, safe=_USERINFO)}"
    return urls.parse(SETTING, f"{scheme}://{userinfo}{at}{host}{tail}")


def parameters(url: SplitResult) -> dict[str, str]:
    """Return the parameters of a URL.

    Raises:
        Misconfigured: a parameter has no `=`, or occurs twice.
    """
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise Misconfigured(SETTING, "has a parameter without a value: remove it, or percent-encode the ?") from None
    by_name = dict(pairs)
    if len(by_name) < len(pairs):
        raise Misconfigured(SETTING, "has a parameter twice: keep one of them")
    return by_name


def check_parameters(url: SplitResult, endpoint: str = "") -> None:
    """Check the parameters of a connection string that is used over HTTP.

    Args:
        url: the connection string.
        endpoint: Neon's endpoint id, which the parameter `options` may repeat; "" for other hosts.

    Raises:
        Misconfigured: a parameter is unknown or cannot be honoured.
    """
    for name, value in parameters(url).items():
        if name == "options" and endpoint and value in (f"endpoint={endpoint}", f"project={endpoint}"):
            continue
        if name not in PARAMETERS:
            unknown = f"the parameter {name}" if _IDENTIFIER.fullmatch(name) else "a parameter"
            raise Misconfigured(SETTING, f"has {unknown}, which is unknown: remove it")
        accepted, reason = PARAMETERS[name]
        if not re.fullmatch(accepted, value, re.DOTALL) or not accepted:
            raise Misconfigured(SETTING, f"has a parameter {name} that cannot be honoured: {reason}")
