"""Compare the stack's parser of `.dev.vars` with that of the installed wrangler."""

from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import BIN, ROOT
from devstack.stack.dev_vars import as_env_file, parse

if TYPE_CHECKING:
    from pathlib import Path

# For each folder, print the variables that wrangler reads from .dev.vars, and from env.vars with --env-file.
READ = """
const { unstable_getVarsForDev: read } = require('./node_modules/wrangler')
const values = (variables) => Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, value]))
for (const folder of require('fs').readFileSync(0, 'utf8').split('\\n')) {
  const from = (files) => values(read(folder + '/wrangler.toml', files, {}, undefined, true))
  console.log(JSON.stringify([from(undefined), from(['env.vars'])]))
}
"""
TEXTS = [
    'DATABASE_URL="first"\nDATABASE_URL="second"\n',
    '\ufeffDATABASE_URL="with a byte order mark"\n',
    'DATABASE_URL: "yaml"\n',
    "DATABASE_URL:none\n",
    "DATABASE_URL=\nOTHER=x\n",
    "DATABASE_URL=\n'on the next line'\n",
    "DATABASE_URL=first\nDATABASE_URL=\n",
    "A=1\r\nB='2'\rC=`3`\r\n",
    "A=a#b\nB='a#b' # c\nC = a b # c\n",
    'A="a\\nb"\nB=\'a\\nb\'\nC="a\\"b"\n',
    "A=$B\nB=2\nC=${A:-x}\nD='$B'\nE=\\$B\nF=a$$b\n",
    'A="unterminated\nB=2\n',
    "export A=1\nexport\tB = 2\nA.b-c=3\n",
    "A=\u00a0x\u3000\nB=\u2028y\n\u00e4=1\n",
    'A="two\nlines"\nB=\'\'\nC=""x\n',
]


def test_the_parser_agrees_with_wrangler(tmp_path: Path) -> None:
    """Both parsers read the same variables from the listed files and from 500 random ones.

    With `--env-file`, wrangler also reads these variables from the text that `as_env_file` returns for each file.
    """
    generator = random.Random(17)  # noqa: S311 - no secret
    pieces = ["A", "B", "=", ":", " ", "\n", '"', "'", "`", "#", "\\", "$", "{", "}", "\u00a0", "\ufeff", "export "]
    texts = [*TEXTS, *("".join(generator.choices(pieces, k=generator.randint(3, 30))) for _ in range(500))]
    folders = [tmp_path / str(number) for number in range(len(texts))]
    for folder, text in zip(folders, texts, strict=True):
        folder.mkdir()
        (folder / ".dev.vars").write_bytes(text.encode())
        (folder / "env.vars").write_bytes(as_env_file(text).encode())
    done = subprocess.run(
        [BIN / "node", "-e", READ],
        input="\n".join(map(str, folders)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    for text, (from_dev_vars, from_env_file) in zip(texts, results, strict=True):
        assert (text, parse(text)) == (text, from_dev_vars)
        assert (text, parse(text)) == (text, from_env_file)
