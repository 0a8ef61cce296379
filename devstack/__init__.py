"""The local stack: what `make` installs, starts, watches and stops. None of it is deployed."""

import sys

# This file runs before `devstack.setup.bootstrap`, whose syntax an older Python cannot parse.
if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets a clear message
    _TEXT = """\
setup: needs CPython 3.11 or newer, but %s is %s
  fix               install a newer one and run `PYTHON=python3.13 make`"""
    sys.exit(_TEXT % (sys.executable, sys.version.split()[0]))
