# `make` lists the targets under the headings marked with ##@. All tools are installed in this checkout
# (devstack/setup/bootstrap.py).
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup dev migrate adopt users invite outbox test test-long screenshots soak outbox-faults flood desync fuzz fuzz-framing fuzz-parsers timing check format audit licences sbom pool-demo bench-proxy lock clean docs bench

help: ## list the targets
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ] && [ "$$TERM" != dumb ]; then colour=yes; fi; awk -v colour="$$colour" '\
	  function paint(code, text) { return colour ? "\033[" code "m" text "\033[0m" : text } \
	  BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", paint(1, substr($$0, 5)) } \
	  /^[a-z-]+:.*## / && $$1 != "help" { printf "  %s  %s\n", paint(36, sprintf("make %-12s", $$1)), $$2 } \
	  END { print "\nRequires CPython 3.11 or newer with pip and venv. The rest is installed from PyPI and npm into this folder." }' \
	  $(firstword $(MAKEFILE_LIST))

# The supply chain tools, which the targets that use them install separately.
SUPPLY_CHAIN = $(BIN)/uv pip install --quiet --target .local/supply-chain --require-hashes -r requirements/supply-chain.txt && \
  PYTHONPATH=.local/supply-chain $(BIN)/python
NPM = PATH="$(CURDIR)/$(BIN):$$PATH" npm

##@ Run
setup: ## install missing packages, Node and the Worker's wheels (other targets do this first)
	@command -v $(PYTHON) >/dev/null || { printf '%s\n' 'setup: there is no $(PYTHON)' \
	  '  fix               install CPython 3.11 or newer with pip and venv, or run `PYTHON=/path/to/python3 make`' >&2; exit 1; }
	@$(PYTHON) -m devstack.setup.bootstrap

dev: setup ## run the whole stack: Postgres, sqlproxy, wrangler dev (PORT=8787, HYPERDRIVE=1)
	@exec $(BIN)/python -m devstack dev

migrate: setup ## apply prisma/migrations to DATABASE_URL=postgres://...
	@exec $(BIN)/python -m devstack.migrate.migrations $(ARGS)

adopt: setup ## hash the passwords and canonicalise the addresses of an older application (ARGS=--dry-run)
	@PYTHONPATH=src exec $(BIN)/python -m devstack.migrate.adopt $(ARGS)

users: setup ## find, export, delete or verify users (ARGS='find ada@example.com')
	@PYTHONPATH=src exec $(BIN)/python -m devstack.users $(ARGS)

invite: setup ## print the link of an invitation, show its uses, or revoke it (ARGS='ada@example.com --expires 7d')
	@PYTHONPATH=src exec $(BIN)/python -m devstack.users.invite $(ARGS)

outbox: setup ## list the e-mails and webhooks that could not be delivered (ARGS=--retry)
	@exec $(BIN)/python -m devstack.outbox $(ARGS)

##@ Test
test: setup ## run all tests with the coverage gate, or some of them (ARGS='tests/unit -q')
	@exec $(BIN)/python -m devstack.testing $(ARGS)

test-long: setup ## run all tests with more examples and requests, and for longer, before a release
	@TEST_LONG=1 exec $(BIN)/python -m devstack.testing $(ARGS)

check: setup ## check style, types, translations and generated files
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@PYTHONPATH=src $(BIN)/python -m devstack.texts
	@PYTHONPATH=src $(BIN)/python -m devstack.documents --check

format: setup ## format the code, and fix what ruff can fix
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

audit: setup ## look up known vulnerabilities of the locked packages at PyPI and npm
	@$(SUPPLY_CHAIN) -m pip_audit --strict --disable-pip --require-hashes $(addprefix -r ,$(wildcard requirements/*.txt))
	@$(NPM) audit

soak: setup ## sign users up for ten minutes during faults, then check for lost or duplicate users (ARGS='--seconds N')
	@exec $(BIN)/python -m tests.e2e.soak $(ARGS)

outbox-faults: setup ## sign 2,000 users up during faults, then compare users and e-mails
	@exec $(BIN)/python -m tests.e2e.outbox_faults $(ARGS)

flood: setup ## send invalid requests from one address for 30 s, and sign-ups from another
	@exec $(BIN)/python -m tests.e2e.flood $(ARGS)

desync: setup ## smuggle requests past Caddy and nginx for 60 s each while users sign up
	@PYTHONPATH=src exec $(BIN)/python -m tests.e2e.desync $(ARGS)

fuzz: setup ## send 100,000 generated requests to the Worker, and check each response (ARGS='--seed N')
	@PYTHONPATH=src exec $(BIN)/python -m fuzz.worker $(ARGS)

fuzz-framing: setup ## send 200,000 ambiguous requests to sqlproxy, Caddy and nginx, and check each response (ARGS='--seed N')
	@exec $(BIN)/python -m fuzz.framing $(ARGS)

fuzz-parsers: setup ## fuzz the parsers for a minute, guided by coverage (ARGS=-max_total_time=600)
	@$(BIN)/uv pip install --quiet --target .local/atheris --require-hashes -r requirements/fuzz.txt
	@PYTHONPATH=src:.local/atheris exec $(BIN)/python -m fuzz.parsers $(ARGS)

timing: setup ## test whether response times reveal an account; writes bench/results-timing.json
	@exec $(BIN)/python -m bench.timing $(ARGS)

##@ Measure
bench: setup ## compare the Worker with its peers, in bare workerd (ARGS='--only sign-ups --rounds 3')
	@PYTHONPATH=src exec $(BIN)/python -m bench.workers $(ARGS)

bench-proxy: setup ## compare sqlproxy with Prisma's query plan executor; writes bench/results-proxy.json
	@$(BIN)/python -m bench.proxies $(ARGS)

pool-demo: setup ## compare sign-ups with and without a pool; writes a table to docs/img (ARGS='--isolates 400')
	@$(BIN)/python -m bench.pool_demo $(ARGS)

##@ Generate files
docs: setup ## generate docs/settings.md, docs/openapi.json, .dev.vars.example, wrangler.toml's settings
	@PYTHONPATH=src exec $(BIN)/python -m devstack.documents

openapi: docs

screenshots: setup ## take the screenshots of the sign-up page for the README
	@SCREENSHOTS=docs/img exec $(BIN)/python -m devstack.testing tests/browser/test_screenshots.py -q

licences: setup ## list the licences of the installed Python packages
	@$(SUPPLY_CHAIN) -m piplicenses --python $(BIN)/python --from=mixed --format=markdown

sbom: setup ## write CycloneDX bills of materials of the Worker, sqlproxy and the npm packages into .local/sbom
	@mkdir -p .local/sbom
	@for product in worker sqlproxy; do \
	  $(SUPPLY_CHAIN) -m cyclonedx_py requirements --output-reproducible requirements/$$product.txt -o .local/sbom/$$product.json || exit; \
	done
	@$(NPM) sbom --package-lock-only --sbom-format cyclonedx > .local/sbom/npm.json

# Requirements files with hashes do not contain URLs of a package index, unlike uv.lock and pylock.toml.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock'
# Dependencies that the Worker never imports: email-validator needs them for DNS look-ups, and httpx for the sockets, TLS
# roots and HTTP/1.1 of its default transport, which signup.runtime.server replaces.
NOT_DEPLOYED = anyio certifi dnspython h11 httpcore

lock: setup ## update requirements/*.txt and package-lock.json
	@$(COMPILE) --upgrade requirements/bootstrap.in -o requirements/bootstrap.txt
	@$(COMPILE) --upgrade --python-version 3.11 pyproject.toml --group dev -o requirements/dev.txt
	@$(COMPILE) --upgrade --python-version 3.11 requirements/fuzz.in -o requirements/fuzz.txt
	@$(COMPILE) --upgrade --python-version 3.11 requirements/supply-chain.in -o requirements/supply-chain.txt
	@$(COMPILE) --python-version 3.11 --group sqlproxy -c requirements/dev.txt -o requirements/sqlproxy.txt
	@$(COMPILE) --python-version 3.14 requirements/bench-fastapi.in -c requirements/dev.txt -o requirements/bench-fastapi.txt
	@$(COMPILE) --python-version 3.14 pyproject.toml requirements/worker.in -c requirements/dev.txt \
	  $(addprefix --no-emit-package ,$(NOT_DEPLOYED)) -o requirements/worker.txt
	@$(NPM) install --package-lock-only

##@ Clean up
clean: ## delete the installed packages, the local database and the caches, but not .dev.vars
	@rm -rf .venv .venv-workers .local .wrangler node_modules python_modules public/docs/swagger-ui* public/docs/favicon-32x32.png src/argon2.wasm src/pg.mjs .mypy_cache .ruff_cache .pytest_cache .coverage*
