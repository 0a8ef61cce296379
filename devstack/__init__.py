"""The local stack: what `make` installs, starts, watches and stops. None of it is deployed."""

import sys

# Here, because `python3 -m devstack.setup.bootstrap` runs this first, also on a Python that could not read the rest.
if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets a clear message
    _TEXT = """\
setup: needs CPython 3.11 or newer, and %s is %s
  how to mend it    install one, and name it: `PYTHON=python3.13 make`"""
    sys.exit(_TEXT % (sys.executable, sys.version.split()[0]))
