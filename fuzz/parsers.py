"""`make fuzz-parsers`: coverage-guided fuzzing of a sign-up's parsers with atheris (libFuzzer for Python).

Any input must either be refused with a `Problem` or be a sign-up in canonical form. Otherwise the run fails and keeps
the input in `.local/corpus`. The command accepts libFuzzer's options.
"""

import json
import sys
import unicodedata
from contextlib import suppress

import atheris

from devstack.setup.bootstrap import ROOT
from fuzz.requests import RAW, TEXTS, VALID_FIELDS

with atheris.instrument_imports(include=["signup"]):
    from signup.fields.email_address import canonical
    from signup.fields.models import Rules, SignUpRequest
    from signup.i18n.catalog import texts
    from signup.json_codec import encode, parse_object
    from signup.problems import Problem
    from signup.web.form_body import parse_form
    from signup.web.problem_details import problem_result

RULES = Rules(password_min_length=8, subaddressing=False, bot_token=True)
CORPUS = ROOT / ".local" / "corpus"


def check_input(data: bytes) -> None:
    """Parse an input as a form and as a JSON sign-up, and check the results."""
    with suppress(Problem):
        encode(parse_form(data))
    try:
        fields = parse_object(data)
        encode(fields)
        request = SignUpRequest.from_object(fields, RULES)
    except Problem as problem:
        encode(problem_result(problem, "", texts("en")).content)
        return
    assert canonical(request.email) == request.email
    assert request.email.isascii() or request.email.rpartition("@")[2].isascii()
    assert unicodedata.is_normalized("NFC", request.name)
    assert 1 <= len(request.name) <= 100
    assert 8 <= len(request.password.get_secret_value()) <= 128


def main() -> None:
    """Fuzz for a minute, or as specified by libFuzzer's options on the command line."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    valid = {**VALID_FIELDS, "cf-turnstile-response": "x"}
    seeds = [*RAW, *(json.dumps({**valid, name: text}).encode() for name in valid for text in TEXTS)]
    for number, seed in enumerate([json.dumps(valid).encode(), *seeds]):
        (CORPUS / f"seed-{number}").write_bytes(seed)
    options = sys.argv[1:] or ["-max_total_time=60"]
    command = [sys.argv[0], "-max_len=17000", f"-artifact_prefix={CORPUS}/", *options, str(CORPUS)]
    atheris.Setup(command, check_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
