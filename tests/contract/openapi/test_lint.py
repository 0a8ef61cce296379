"""Redocly's linter accepts the OpenAPI documents."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devstack.setup.bootstrap import BIN, ROOT
from signup.openapi.document import document
from signup.settings import Settings
from tests.fakes import SETTINGS, WITH_FIELDS, change
from tests.unit.openapi.test_document import ALL_FEATURES


def lint(openapi: dict[str, Any], tmp_path: Path) -> tuple[int, str]:
    """Lint a document with redocly.yaml, without telemetry; return the exit status and the output."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(openapi))
    variables = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [str(ROOT / "node_modules/.bin/redocly"), "lint", "--config", str(ROOT / "redocly.yaml"), str(file)],
        env=os.environ | variables | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


FIELDS = {name: getattr(WITH_FIELDS, name) for name in ("terms_version", "terms_url", "extra_fields")}
ALL_SETTINGS = change(ALL_FEATURES, **FIELDS)


@pytest.mark.parametrize("settings", [SETTINGS, ALL_SETTINGS, change(ALL_SETTINGS, duplicate_response="conceal")])
def test_the_document_has_no_errors_or_warnings(settings: Settings, tmp_path: Path) -> None:
    """The settings are the defaults, then all features, then all features with concealed accounts."""
    status, output = lint(document(settings), tmp_path)
    assert status == 0, output
    assert "warning" not in output


def test_an_invalid_document_is_rejected(tmp_path: Path) -> None:
    """A dangling reference, an example that violates its schema, and a missing header are reported."""
    invalid = document(SETTINGS)
    sign_up = invalid["paths"]["/"]["post"]
    sign_up["requestBody"]["content"]["application/json"]["examples"]["grace"]["value"].pop("email")
    sign_up["responses"]["201"]["headers"].pop("x-request-id")
    invalid["components"]["schemas"].pop("FieldError")
    status, output = lint(invalid, tmp_path)
    assert status == 1
    for rule in ("no-unresolved-refs", "no-invalid-media-type-examples", "response-contains-header"):
        assert rule in output
