# `make help` explains the targets. Only Python 3.11+ and pip are needed; every target does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SQS_READY := .venv-sqs/.ready
CLIENT_READY := .venv-client/.ready
AWS_READY := .venv-aws/.ready
PEERS_READY := .venv-peers/.ready
POSTGRESQL_READY := .postgresql/.ready
WORKERS ?= 4
DATABASE_TESTS := $(addprefix tests/,adapters contracts embedded flows proof/test_crashes.py properties races services web)
# Compiling what they import is most of a short-lived process's work; container images often forbid to keep the result.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test matrices slow sqs-stories upgrade-story container-steps check chromium browser screenshots prove races properties postgresql-versions bench tour wheel bundle deploy-check aws-story cold-start lock clean
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## the environment alone; leaves the executable at .venv/bin/ringback

demo: $(READY) ## a handful of real calls through every part, with a live timeline
	$(BIN)/ringback demo

up: $(READY) ## the whole system on this machine, until Ctrl-C
	$(BIN)/ringback up

test: $(READY) $(SQS_READY) $(CLIENT_READY) $(AWS_READY) ## lint, types, layers, and the tests but for the matrices and the slow ones
	$(MAKE) check
	$(BIN)/pytest -q -rs -n $(WORKERS)

matrices: $(READY) $(SQS_READY) ## one story in many forms: the browser, small sizes of the proof and the benchmarks, wrong set-ups
	$(BIN)/pytest -q -rs -n $(WORKERS) -m matrix

slow: $(READY) $(SQS_READY) ## the stories that take a minute each: fail-over, rolling upgrade, crowds, the border
	$(BIN)/pytest -q -m slow

sqs-stories: $(READY) $(SQS_READY) ## the stories, each system with both queues on an SQS server
	$(BIN)/pytest -q --queues sqs -m 'not slow' tests/stories

upgrade-story: $(READY) $(SQS_READY) ## an earlier commit's processes (FROM=COMMIT) and this tree's share a database under load
	$(BIN)/pytest -q -s -m slow tests/stories/test_upgrade.py $(if $(FROM),--upgrade-from=$(FROM))

container-steps: $(READY) ## the container file's steps and the compose file's commands, run without an engine
	$(BIN)/pytest -q -s -m slow tests/stories/test_container_steps.py

check: $(READY) ## format, lint, strict types, the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

chromium: ## Debian's browser for the console's tests; needs root
	command -v chromium-headless-shell || command -v chromium || ( \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core )

browser: $(READY) chromium ## the console in a real browser: accessibility, keyboard, weight, every link
	$(BIN)/pytest -q -rs -m matrix tests/played_week

screenshots: $(READY) chromium ## the pictures of docs/console.md, of a week that it plays
	$(BIN)/python -m tests.played_week.screenshots docs/console

prove: $(READY) $(SQS_READY) ## every suite of the proof at full size; writes evidence/ and the documents' figures
	$(BIN)/python -m proof --write

races: $(READY) ## stops against dispatch, a thousand trials of each pair
	$(BIN)/python -m pytest -q -m "not slow" tests/races --trials 1000

properties: $(READY) ## the time properties at sixty times their size
	$(BIN)/python -m pytest -q -m matrix tests/properties --hypothesis-profile full

postgresql-versions: $(READY) $(SQS_READY) $(POSTGRESQL_READY) ## what speaks to the database, on PostgreSQL 14 to 17 (VERSIONS=16 for one); needs npm
	for version in $(or $(VERSIONS),14 15 16 17); do \
	  RINGBACK_TEST_POSTGRESQL_BIN=$(CURDIR)/.postgresql/node_modules/postgresql-$$version/native/bin \
	  $(BIN)/pytest -q -rs -n $(WORKERS) -m 'not slow' $(DATABASE_TESTS) || exit 1; \
	done

bench: $(READY) $(PEERS_READY) ## every goal and path beside its floor and the usual libraries, in under 25 minutes
	$(BIN)/python -m benchmarks --write

bundle: $(READY) ## the webhook function's folder, build/webhook_lambda, which the AWS template deploys
	$(BIN)/python -m deploy.aws.bundle build/webhook_lambda

deploy-check: $(READY) $(AWS_READY) bundle ## the AWS templates: linter, SAM's validator, our own assertions
	.venv-aws/bin/cfn-lint deploy/aws/*.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv-aws/bin/sam validate --lint --template-file deploy/aws/template.yaml
	$(BIN)/python -m deploy.aws.check

aws-story: $(READY) $(SQS_READY) $(AWS_READY) ## deploys the template into an emulated AWS and runs calls through it
	$(BIN)/pytest -q -s -m slow tests/deploy

cold-start: $(READY) $(AWS_READY) bundle ## the webhook function's first answer beside that of an empty function
	$(BIN)/python -m deploy.aws.cold_start build/webhook_lambda

tour: $(READY) ## the tasks of the users: each command, what it prints, and whether that is true
	$(BIN)/python -m tests.tour

wheel: $(READY) ## the package for production, in dist/
	$(BIN)/uv build -q --wheel --no-build-isolation --python $(BIN)/python

lock: $(READY) ## resolve the dependencies anew, hashes pinned, no index address written
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --constraint requirements/dev.txt --extra otel pyproject.toml -o requirements/production.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/sqs-server.in -o requirements/sqs-server.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/client-generator.in -o requirements/client-generator.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/aws-tools.in -o requirements/aws-tools.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/installer.in -o requirements/installer.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/peers.in -o requirements/peers.txt

clean: ## remove the environments and caches
	rm -rf build .venv .venv-sqs .venv-client .venv-aws .venv-peers .postgresql .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment made by hand may exist already: `--clear` is not used, the installer is put into it either way.
.venv/bin/uv: requirements/installer.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/installer.txt
	@touch $@

$(READY): .venv/bin/uv requirements/dev.txt pyproject.toml
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(CLIENT_READY): .venv/bin/uv requirements/client-generator.txt
	$(PYTHON) -m venv .venv-client
	$(BIN)/uv pip install -q --python .venv-client/bin/python --require-hashes -r requirements/client-generator.txt
	@touch $@

$(SQS_READY): .venv/bin/uv requirements/sqs-server.txt
	$(PYTHON) -m venv .venv-sqs
	$(BIN)/uv pip install -q --python .venv-sqs/bin/python --require-hashes -r requirements/sqs-server.txt
	@touch $@

# SAM's wheel has the emulator of Lambda's Runtime API as a file that is not executable.
$(AWS_READY): .venv/bin/uv requirements/aws-tools.txt
	$(PYTHON) -m venv .venv-aws
	.venv/bin/uv pip install -q --python .venv-aws/bin/python --require-hashes -r requirements/aws-tools.txt
	chmod +x .venv-aws/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-*
	@touch $@

$(PEERS_READY): .venv/bin/uv requirements/peers.txt
	$(PYTHON) -m venv .venv-peers
	$(BIN)/uv pip install -q --python .venv-peers/bin/python --require-hashes -r requirements/peers.txt
	@touch $@

# The packages' own script, run here because npm may be told to run none, makes the links that an archive cannot have.
$(POSTGRESQL_READY): requirements/postgresql/package-lock.json
	mkdir -p .postgresql
	cp requirements/postgresql/package.json requirements/postgresql/package-lock.json .postgresql/
	npm ci --prefix .postgresql --ignore-scripts --no-audit --no-fund
	for package in .postgresql/node_modules/postgresql-*; do (cd $$package && node scripts/hydrate-symlinks.js) || exit 1; done
	@touch $@
