"""The code behind `make`: setup, the local stack and the operator's commands. None of it is deployed."""

import sys

# This file runs before `devstack.setup.bootstrap`, whose syntax an older Python cannot parse.
if sys.version_info < (3, 11):  # noqa: UP036 - older versions get a clear message
    _TEXT = """\
setup: needs CPython 3.11 or newer, but %s is %s
  fix               install a newer one and run `PYTHON=python3.13 make`"""
    sys.exit(_TEXT % (sys.executable, sys.version.split()[0]))
