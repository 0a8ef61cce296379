"""A headless Chromium from the npm package `@sparticuz/chromium`, without system packages and with its own fonts.

The package contains the browser, the libraries that a minimal machine lacks, and Open Sans. They are unpacked once into
`.local/chromium-<version>/`. If the browser cannot start, tests fail with a `BrowserError` and are not skipped.

The package supports Linux on x86-64. On other systems the environment variable CHROMIUM names an installed browser.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from playwright.sync_api import Browser, Error, sync_playwright

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import BIN, ROOT

PACKAGE = ROOT / "node_modules" / "@sparticuz" / "chromium"
# The package unpacks the browser into the temporary directory. It unpacks the libraries only on AWS Lambda.
UNPACK = "import chromium from '@sparticuz/chromium'; await chromium.executablePath()"
LAMBDA = "AWS_Lambda_nodejs24.x"
# The package's own font configuration names folders of AWS Lambda. This one excludes the fonts of the machine.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <cachedir>{folder}/fonts-cache</cachedir>
</fontconfig>
"""
# The same text width on every machine, no GPU, and files instead of /dev/shm, which is small in containers.
ARGUMENTS = ("--font-render-hinting=none", "--disable-gpu", "--disable-dev-shm-usage")


class BrowserError(Exception):
    """Chromium cannot be unpacked or started; the message gives the reason."""


def unpack() -> Path:
    """Return the folder with the program, its libraries and fonts; unpack them if necessary (4 s).

    Raises:
        BrowserError: Chromium cannot be unpacked.
    """
    if not (PACKAGE / "package.json").exists():
        raise BrowserError("@sparticuz/chromium is not installed: run `make setup`")
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    folder = ROOT / ".local" / f"chromium-{version}"
    if folder.exists():
        return folder
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix="chromium-new-"))
    try:
        command = [str(BIN / "node"), "--input-type=module", "--eval", UNPACK]
        environment = {**os.environ, "TMPDIR": str(fresh), "AWS_EXECUTION_ENV": LAMBDA}
        completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if completed.returncode:
            raise BrowserError(f"@sparticuz/chromium cannot be unpacked:\n{completed.stderr}")
        (fresh / "fonts.conf").write_text(FONTS.format(folder=folder))
        with contextlib.suppress(OSError):  # another process has unpacked the package
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium until the block ends.

    Raises:
        BrowserError: Chromium cannot be unpacked, or does not start.
    """
    program, libraries = _program()
    with contextlib.ExitStack() as stack:
        # The browser and Playwright's driver keep their profiles and sockets in this folder.
        temporary = str(stack.enter_context(scratch_folder("browser")))
        with patch.dict(os.environ, {"TMPDIR": temporary}):
            playwright = stack.enter_context(sync_playwright())
        variables: dict[str, str | float | bool] = {"PATH": os.environ["PATH"], "HOME": temporary, "TMPDIR": temporary}
        try:
            browser = playwright.chromium.launch(
                executable_path=program, env={**variables, **libraries}, args=ARGUMENTS, timeout=30_000
            )
        except Error as exc:
            raise BrowserError(f"{program} does not start; is a library missing?\n{exc}") from exc
        stack.callback(browser.close)
        yield browser


def _program() -> tuple[Path, dict[str, str]]:
    """Return the program and the environment variables for its libraries and fonts."""
    if program := os.environ.get("CHROMIUM"):
        return Path(program), {}
    folder = unpack()
    libraries = str(folder / "al2023" / "lib")
    return folder / "chromium", {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(folder / "fonts.conf")}
