"""Generate parts of the documents from the code (`make docs`), or check that they are up to date (`make check`).

docs/settings.md, .dev.vars.example and wrangler.toml contain blocks between lines with `[NAME]` and `[/NAME]`. The rest
of these files is written by hand. docs/openapi.json is the document that a Worker with default settings returns at
/openapi.json. src/signup/fields/disposable_domains.txt is made from the list of the locked package
disposable-email-domains.
"""

import contextlib
import functools
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from disposable_email_domains import blocklist
from pydantic import SecretStr

from devstack.setup.bootstrap import ROOT
from signup.database.dialects.choose import FORMS
from signup.fields.email_address import AddressError
from signup.fields.email_domains import canonical_domain
from signup.openapi.document import document
from signup.outbox.mail.choose import FORMS as MAIL_FORMS
from signup.settings import Settings
from sqlproxy.operations.settings import Settings as ProxySettings
from sqlproxy.operations.settings import option_of

_WIDTH = 118
# The possible forms of DATABASE_URL and MAIL_URL: an example and a description of each.
_FORMS = {
    "DATABASE_URL": [(form.example, form.description) for form in FORMS],
    "MAIL_URL": [(form.example, form.description) for form in MAIL_FORMS],
}
# Domains of the mail relays of Apple, Firefox and DuckDuckGo. The relays forward to a real mailbox, so their domains do
# not count as disposable.
RELAYS = ("privaterelay.appleid.com", "icloud.com", "mozmail.com", "relay.firefox.com", "duck.com")


def fill(text: str, name: str, block: str) -> str:
    """Return a document in which `block` replaces the lines between `[name]` and `[/name]`.

    Raises:
        ValueError: the document does not have exactly one such block.
    """
    pattern = rf"(^[^\n]*\[{name}\][^\n]*\n).*?(^[^\n]*\[/{name}\][^\n]*$)"
    filled, count = re.subn(pattern, lambda match: f"{match[1]}{block}{match[2]}", text, flags=re.DOTALL | re.MULTILINE)
    if count != 1:
        raise ValueError(f"the block [{name}] occurs {count} times")
    return filled


def stale(root: Path = ROOT) -> dict[Path, str]:
    """Return the new text of each document that is stale."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in _DOCUMENTS}
    return {root / name: new for name, text in texts.items() if (new := _DOCUMENTS[name](text)) != text}


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the stale documents, or with `--check` only list them, and return the exit status."""
    documents = stale(root)
    for path, text in documents.items():
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        print(
            f"docs: {path.relative_to(root)} {'is stale: run `make docs`' if '--check' in arguments else 'is written'}"
        )
    return 1 if documents and "--check" in arguments else 0


def _openapi(_: str) -> str:
    settings = Settings.model_construct(database_url=SecretStr(""))
    return json.dumps(document(settings), indent=2, ensure_ascii=False) + "\n"


def _settings_page(text: str) -> str:
    worker_table = _table(
        ("setting", "default", "values", "description"),
        [
            (f"`{name}`", _code(_plain(schema.get("default", ""))), _values(schema), schema["description"])
            for name, schema in _settings()
        ],
    )
    text = fill(text, "worker", worker_table)
    for name, title in (("DATABASE_URL", "data proxy"), ("MAIL_URL", "mail provider")):
        rows = [(f"`{example}`", description) for example, description in _FORMS[name]]
        text = fill(text, name.lower().replace("_", "-"), _table((f"`{name}`", title), rows))
    return fill(text, "sqlproxy", _table(("flag", "default", "values", "description"), list(_proxy_rows())))


def _dev_vars(text: str) -> str:
    block = ""
    for name, schema in _settings():
        comment = [
            *textwrap.wrap(" ".join((schema["description"], _bounds(schema))).strip(), _WIDTH, break_on_hyphens=False)
        ]
        comment += [f"  {example}  {description}" for example, description in _FORMS.get(name, ())]
        optional = "" if name == "DATABASE_URL" else "# "
        block += "".join(f"# {line}\n" for line in comment) + f"{optional}{name}={_value(schema)}\n\n"
    return fill(text, "settings", f"\n{block}")


def _wrangler(text: str) -> str:
    variables = [(name, schema) for name, schema in _settings() if not schema.get("writeOnly")]
    lines = [
        f"# {name} = {_value(schema)}  # {_summary(schema)} {_bounds(schema)}".rstrip() for name, schema in variables
    ]
    return fill(text, "settings", "".join(f"{line}\n" for line in lines))


@functools.cache
def _disposable_domains(_: str) -> str:
    return disposable_domains(blocklist, version("disposable-email-domains"))


def disposable_domains(names: Iterable[str], release: str) -> str:
    """Return the list for `signup.fields.disposable_domains`.

    The list omits the domains in `RELAYS`, their parent domains and subdomains, and domains that no address can have.
    """
    head = (
        f"# Domains of disposable addresses, from the PyPI package disposable-email-domains {release} (MIT License).\n"
        "# The list is in the public domain (CC0 1.0). Written by `make docs`; see docs/users.md.\n"
    )
    domains = set()
    for name in names:
        # `canonical_domain` refuses domains that no address can have, such as those with an emoji.
        with contextlib.suppress(AddressError):
            domain = canonical_domain(name)
            if not any(_is_within(domain, relay) or _is_within(relay, domain) for relay in RELAYS):
                domains.add(domain)
    # The domains are ASCII, so the order of the strings is also the order of their bytes.
    return head + "".join(f"{name}\n" for name in sorted(domains))


def _is_within(domain: str, parent: str) -> bool:
    return f".{domain}".endswith(f".{parent}")


_DOCUMENTS: dict[str, Callable[[str], str]] = {
    "docs/settings.md": _settings_page,
    "docs/openapi.json": _openapi,
    ".dev.vars.example": _dev_vars,
    "wrangler.toml": _wrangler,
    "src/signup/fields/disposable_domains.txt": _disposable_domains,
}


def _settings() -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the JSON schema of each of the Worker's settings."""
    return [(name.upper(), schema) for name, schema in Settings.model_json_schema()["properties"].items()]


def _proxy_rows() -> Iterator[tuple[str, ...]]:
    for item in fields(ProxySettings):
        option = option_of(item.name)
        if option is None:
            continue
        flag = f"`--{item.name.replace('_', '-')}`"
        values = ", ".join(f"`{each}`" for each in option.choices)
        if isinstance(item.default, int | float) and not isinstance(item.default, bool):
            values = option.bounds
        yield flag, "" if item.default is False else _code(_plain(item.default)), values, option.about


def _plain(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, int | float) else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _bounds(schema: dict[str, Any]) -> str:
    if "minimum" in schema:
        return f"From {schema['minimum']} to {schema['maximum']}."
    return f"One of {', '.join(schema['enum'])}." if "enum" in schema else ""


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(_code(each) for each in schema["enum"])
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    kind = "secret" if schema.get("writeOnly") else "text"
    return f"{kind}, such as {_code(schema['examples'][0])}" if "examples" in schema else kind


def _value(schema: dict[str, Any]) -> str:
    """Return the default, or an example if the default is empty or missing, in the syntax of dotenv files and TOML."""
    value = schema.get("default", "") or next(iter(schema.get("examples", ())), schema.get("default", ""))
    if isinstance(value, str):
        # A double quotation mark cannot be escaped in a dotenv file.
        return f"'{value}'" if '"' in value else json.dumps(value)
    return _plain(value)


def _summary(schema: dict[str, Any]) -> str:
    return f"{str(schema['description']).partition('. ')[0].rstrip('.')}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table in which paths such as docs/users.md become links."""
    lines = [head, ["---"] * len(head), *rows]
    text = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", re.sub(r" +\|", " |", text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
