"""Follow the commands of a document in a copy of the repository without the files that git ignores."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import BIN, ROOT
from tests.contract.docs import wranglers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.contract.docs.documents import Step

# The folders that `make setup` creates. The copy has links to them.
INSTALLED = (".venv", ".venv-workers", "node_modules", "python_modules")
# A script that marks the copy as set up, so that `make setup` has nothing to do.
_STAMP = """
from devstack.setup import bootstrap
bootstrap.STAMPS.mkdir(parents=True)
for step, state in bootstrap.states():
    bootstrap.stamp_of(step).write_text(state)
"""


@dataclass(frozen=True)
class Rule:
    """The way to check the commands that match a pattern.

    Args:
        pattern: a regular expression for the whole command.
        how: `run` runs the command, `exists` looks it up in wrangler's help, and `skip` needs a `reason`.
        reason: why the command is skipped.
        more: arguments to append, such as `--dry-run`.
        stdin: the standard input.
        prints: a pattern that the output must contain.
        section: the heading below which the rule applies; "" for every section.
    """

    pattern: str
    how: str = "run"
    reason: str = ""
    more: str = ""
    stdin: str = ""
    prints: str = ""
    section: str = ""

    def __post_init__(self) -> None:
        assert self.how in ("run", "exists", "skip")
        assert bool(self.reason) == (self.how == "skip")


@dataclass
class Reader:
    """Follows the commands of one document.

    Args:
        home: the folder for the copy, `signup`, and for the files that the commands write outside it.
        rules: the rules; the first that matches a command applies.
        replacements: placeholders of the document with their values, such as a URL.
        used: the rules that applied to a command so far.
    """

    home: Path
    rules: Sequence[Rule]
    replacements: Mapping[str, str]
    used: set[Rule] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.copy = self.home / "signup"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")[:-1]:
            if (ROOT / name).exists():
                (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.copy / name)
        for name in INSTALLED:
            (self.copy / name).symlink_to(ROOT / name)
        tools = self.home / "bin"
        tools.mkdir()
        (tools / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (tools / "sudo").chmod(0o755)
        # Remove credentials, and variables that make passes on, such as ARGS of `make test`.
        foreign = ("CLOUDFLARE", "DATABASE", "MAKE", "MFLAGS", "ARGS")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = os.pathsep.join(part for part in inherited["PATH"].split(os.pathsep) if part != str(BIN))
        self.environment = inherited | {
            "PATH": f"{tools}{os.pathsep}{path}",
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "WRANGLER_LOG_PATH": str(self.home / "config"),
            "WRANGLER_SEND_METRICS": "false",
            "npm_config_cache": str(self.home / "npm"),
            "npm_config_update_notifier": "false",
            "NO_COLOR": "1",
        }
        self._state = self.home / "state"
        self._state.touch()
        stamped = subprocess.run(
            self._shell(f"python3 -c '{_STAMP}'"), cwd=self.copy, env=self.environment, check=False
        )
        assert stamped.returncode == 0

    def find_rule(self, step: Step) -> Rule | None:
        """Return the rule for a command, or None."""
        applicable = (rule for rule in self.rules if rule.section in ("", step.section))
        return next((rule for rule in applicable if re.fullmatch(rule.pattern, step.text)), None)

    def follow(self, step: Step) -> Rule:
        """Check a command according to its rule.

        Raises:
            AssertionError: the command has no rule, fails, does not exist, or prints unexpected output.
        """
        rule = self.find_rule(step)
        assert rule, f"line {step.line}: no rule for {step.text}"
        self.used.add(rule)
        if rule.how == "exists":
            errors = wranglers.problems(step.text, self.environment | {"PATH": f"{BIN}:{self.environment['PATH']}"})
            assert not errors, f"line {step.line}: {step.text}: {errors}"
        elif rule.how == "run":
            printed = self._run(step, rule)
            assert re.search(rule.prints, printed), f"line {step.line}: {step.text} printed:\n{printed}"
        return rule

    def replace(self, text: str) -> str:
        """Return a text with the placeholders replaced."""
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        return text

    @staticmethod
    def _shell(script: str) -> list[str]:
        return ["/bin/bash", "-c", script]

    def _run(self, step: Step, rule: Rule) -> str:
        # Exported variables are kept for the next command, as if all commands ran in one shell.
        command = f"{self.replace(step.text)} {rule.more}"
        script = f". {self._state}\n{command}\nstatus=$?; declare -px >{self._state}; exit $status"
        done = subprocess.run(
            self._shell(script),
            cwd=self.copy,
            env=self.environment,
            input=rule.stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"line {step.line}: {step.text} ended with {done.returncode}:\n{printed}"
        return printed
