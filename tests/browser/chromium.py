"""A headless Chromium out of npm's `@sparticuz/chromium`: no system package, no download, the same fonts everywhere.

The package holds the browser, the libraries that a bare machine lacks, and Open Sans, all packed. They are unpacked
once, into `.local/chromium-<version>/`. Nothing is skipped where it cannot start: `BrowserError` says what is missing.

It is for Linux on x86-64. Elsewhere the environment variable CHROMIUM may name a Chromium or Chrome that is there.
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
# It unpacks into the temporary directory, and the libraries only where it takes the machine for a Lambda.
UNPACK = "import chromium from '@sparticuz/chromium'; await chromium.executablePath()"
LAMBDA = "AWS_Lambda_nodejs24.x"
# Its own file names folders of a Lambda. With this one no font of this machine is seen.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <cachedir>{folder}/fonts-cache</cachedir>
</fontconfig>
"""
# Text as wide on every machine; no GPU; and files in place of /dev/shm, which is small in a container.
ARGUMENTS = ("--font-render-hinting=none", "--disable-gpu", "--disable-dev-shm-usage")


class BrowserError(Exception):
    """Chromium cannot be unpacked or started; the message says why."""


def unpacked() -> Path:
    """Return the folder with the program, its libraries and fonts; unpack it (4 s) if it is not there.

    Raises:
        BrowserError: it cannot be.
    """
    if not (PACKAGE / "package.json").exists():
        raise BrowserError("@sparticuz/chromium is not installed: `make setup` does that")
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    folder = ROOT / ".local" / f"chromium-{version}"
    if folder.exists():
        return folder
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix="chromium-new-"))
    try:
        command = [str(BIN / "node"), "--input-type=module", "--eval", UNPACK]
        environment = {**os.environ, "TMPDIR": str(fresh), "AWS_EXECUTION_ENV": LAMBDA}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrowserError(f"@sparticuz/chromium cannot be unpacked:\n{done.stderr}")
        (fresh / "fonts.conf").write_text(FONTS.format(folder=folder))
        with contextlib.suppress(OSError):  # another process was first
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run it while the block runs.

    Raises:
        BrowserError: it does not start.
    """
    program, libraries = _program()
    with contextlib.ExitStack() as stack:
        # Profiles and sockets, of the browser and of the driver that Playwright starts, go away with it.
        temporary = str(stack.enter_context(scratch_folder("browser")))
        with patch.dict(os.environ, {"TMPDIR": temporary}):
            playwright = stack.enter_context(sync_playwright())
        private: dict[str, str | float | bool] = {"PATH": os.environ["PATH"], "HOME": temporary, "TMPDIR": temporary}
        try:
            browser = playwright.chromium.launch(
                executable_path=program, env={**private, **libraries}, args=ARGUMENTS, timeout=30_000
            )
        except Error as exc:
            raise BrowserError(f"{program} does not start; is a library missing?\n{exc}") from exc
        stack.callback(browser.close)
        yield browser


def _program() -> tuple[Path, dict[str, str]]:
    """Return the program, and the environment by which it finds its libraries and fonts."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named), {}
    folder = unpacked()
    libraries = str(folder / "al2023" / "lib")
    return folder / "chromium", {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(folder / "fonts.conf")}
