"""`make openapi`: writes docs/openapi.json, which a Worker with the default settings serves at /openapi.json."""

from __future__ import annotations

import json

from pydantic import SecretStr

from devstack.setup.bootstrap import ROOT
from signup.openapi.document import document
from signup.settings import Settings

FILE = ROOT / "docs" / "openapi.json"


def text() -> str:
    """Return the text of the file."""
    return json.dumps(document(Settings(SecretStr(""))), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"openapi: {FILE.relative_to(ROOT)}")
