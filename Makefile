# Every target is one command; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
# Keep compiled modules: otherwise pytest rewrites every test, and each service compiles its code, at every start.
unexport PYTHONDONTWRITEBYTECODE
# The folders of `make test-fast`, and the files in them that it leaves out because they start processes or are slow.
FAST := tests/architecture tests/shared tests/scheduler tests/worker
NOT_FAST := tests/shared/observability/test_metrics.py tests/shared/test_migrations.py tests/shared/observability/test_tracing.py \
	tests/shared/refresh_state/claim/test_fair_share.py tests/worker/quota/test_platform_limits.py \
	tests/worker/adapters/test_any_answer.py tests/worker/adapters/test_conformance.py \
	tests/worker/adapters/threads tests/shared/refresh_state/test_races.py tests/shared/test_database.py
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) deploy/local/install.py .venv requirements.lock
	@touch .venv/running $@

.venv/running: requirements-run.lock pyproject.toml
	@$(PYTHON) deploy/local/install.py .venv requirements-run.lock
	@touch $@

install: .venv/installed ## create .venv from the hash-locked list, with the developers' tools

up: .venv/running ## run the whole system on this machine, without the developers' tools
	@exec $(BIN)/dravo up

lint: install ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The checks use one core for as long as they run; the tests have the other one meanwhile.
test: install ## all checks and tests, on real servers
	@$(MAKE) --no-print-directory --jobs=2 lint suite

suite: install
	$(BIN)/pytest -n auto

test-fast: install ## all checks and the fast tests, in less than a minute
	@$(MAKE) --no-print-directory --jobs=2 lint fast-suite

fast-suite: install
	$(BIN)/pytest -n auto $(NOT_FAST:%=--ignore=%) $(FAST)

chromium: ## install Debian's Chromium if it is missing
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium)

test-browser: install chromium ## test the operators' page in a real Chromium
	BROWSER_TESTS=1 $(BIN)/pytest tests/browser

faults: install ## inject every fault of the matrix, for half an hour; MINUTES=, SEED= and ONLY= change that
	$(BIN)/python -m tests.faults --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

interleavings: install ## search all interleavings of two operations; MINUTES=, ONLY= and MOST= bound that
	$(BIN)/python -m tests.interleavings --minutes $(or $(MINUTES),30) --only "$(ONLY)" $(if $(MOST),--most $(MOST))

soak: install ## run the fleet at half its capacity for an hour and measure what grows
	$(BIN)/python -m tests.faults.soak

mutants: install ## mutate the deciding modules and run their tests; MINUTES=, ONLY=, SAMPLE= and KINDS= bound that
	$(BIN)/python -m tests.mutants --minutes $(or $(MINUTES),30) $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(KINDS),--kinds $(KINDS))

drill: install chromium ## play every fault that an operator ends, and recover by terminal and by page; ONLY= bounds that
	$(BIN)/python -m deploy.drill $(if $(ONLY),--only "$(ONLY)")

BENCHES := bench-smoke bench-throughput bench-latency bench-budgets bench-changes bench-freshness bench-ingestion bench-api
bench: ## run all benchmarks one after the other, each bounded to half an hour
	@for part in $(BENCHES); do timeout 1800 $(MAKE) --no-print-directory $$part || exit 1; done

bench-smoke: install ## measure the whole pipeline on this machine
	$(BIN)/python -m deploy.bench.smoke

bench-throughput: install ## measure rows per second and CPU time per row by platform; ARGS= (--help lists them)
	$(BIN)/python -m deploy.bench.throughput $(ARGS)

bench-latency: install ## measure what somebody waits for, with an idle fleet and with many rows due; ARGS= (--help)
	$(BIN)/python -m deploy.bench.latency $(ARGS)

bench-api: install chromium ## measure the read API and the operators' page at 1 and 10 million rows
	$(BIN)/python -m deploy.bench.api

bench-ingestion: install ## measure `dravo import` of a million publications and events per second
	$(BIN)/python -m deploy.bench.ingestion $(ARGS)

bench-freshness: install ## compare freshness policies in simulated worlds: error of a read against calls
	$(BIN)/python -m deploy.bench.freshness

bench-claims: install ## measure claims by size, with several schedulers and under hostile conditions
	$(BIN)/python -m deploy.bench.claims $(ARGS)

bench-budgets: install ## measure the decisions of the shared budgets per second
	$(BIN)/python -m deploy.bench.budgets

bench-changes: install ## measure what the delta feed costs, how fast it is, and webhook deliveries; ARGS=
	$(BIN)/python -m deploy.bench.changes $(ARGS)

bench-lifecycle: install ## measure an erasure and retention, and what refreshes and reads lose meanwhile
	$(BIN)/python -m deploy.bench.lifecycle $(ARGS)

rehearse-restore: install ## restore a dump, and a base backup up to an instant, on embedded servers; check and time it
	$(BIN)/python -m deploy.rehearsal $(ARGS)

pictures: install chromium ## make the README's pictures of the running system; MINUTES= of history in the charts
	$(BIN)/python -m deploy.pictures $(if $(MINUTES),--minutes $(MINUTES))

.venv/tools/installed: deploy/checks.lock | install
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/checks.lock
	@touch $@

check-deploy: .venv/tools/installed ## check deployed artefacts with their own tools (installs Debian's promtool if it is missing)
	@command -v promtool >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus)
	$(BIN)/pytest tests/deploy/checked_by_tools.py

.venv/clients/installed: deploy/clients.lock | install
	$(PYTHON) -m venv .venv/clients
	.venv/clients/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/clients.lock
	@touch $@

check-clients: .venv/clients/installed ## install the wheel, run `dravo up`, generate two clients and read the API with them
	$(BIN)/pytest tests/clients/checked_by_clients.py

LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --quiet
locks: install ## write the lock files again after a change of pyproject.toml; known versions stay
	$(LOCK) --extra dev --group build --output-file requirements.lock
	$(LOCK) --extra local --group build --constraint requirements.lock --output-file requirements-run.lock
	$(LOCK) --constraint requirements.lock --output-file deploy/docker/requirements.lock
	$(subst pyproject.toml,--group clients,$(LOCK)) --output-file deploy/clients.lock
	sed -i '/^ *# *-c requirements.lock$$/d' requirements-run.lock deploy/docker/requirements.lock

.PHONY: bench help install locks up lint test suite test-fast fast-suite chromium test-browser faults interleavings soak mutants drill bench-smoke bench-throughput bench-latency bench-api bench-budgets bench-claims bench-freshness bench-changes bench-ingestion pictures check-deploy check-clients
