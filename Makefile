# Everything a developer or a first-time user runs. `make` alone lists it.
#
# Nothing has to be installed or activated first but make and Python 3.11 or later: each target builds .venv when
# it is missing or older than the lock file.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first of them that is recent enough; `make PYTHON=/path/to/python test` overrides.
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if "$$python" -c '$(RECENT)' 2>/dev/null; then echo "$$python"; break; fi; done)
UV ?= uv

BIN := .venv/bin
# What is of use to the system's Python only hides faults here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Ours: the service, and the client that it stands on and other services install.
OURS := --no-deps --no-build-isolation --editable producer/client --editable .
PROJECTS := pyproject.toml producer/client/pyproject.toml

# Two stamps: a new lock file makes a new environment, an edit of pyproject.toml only installs the project again.
.venv/packages: requirements-dev.lock
	@"$(PYTHON)" -c '$(RECENT)' 2>/dev/null || { \
		echo "Python 3.11 or later is needed, and 'python3' is not: install it, or name it with PYTHON=..." >&2; \
		exit 1; }
	@echo "Setting up .venv (once; takes about a minute)"
	@"$(PYTHON)" -m venv --clear .venv
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

.venv/project: $(PROJECTS) .venv/packages
	@$(PIP) install $(OURS)
	@touch $@

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/project ## Run everything on this machine, send 300 makes, check the books, write var/demo/report.json
	@$(BIN)/python -m deploy.local demo

.PHONY: up
up: .venv/project ## Run everything on this machine until Ctrl-C, with a simulated BETCORE
	@$(BIN)/python -m deploy.local up

# Its output is for a shell to evaluate, so it builds nothing: what is up has built it.
.PHONY: env
env: ## Point this shell to what `make up` runs: eval "$(make env)"
	@test -x $(BIN)/python || { echo "Error: nothing is up: run 'make up' in another terminal" >&2; exit 1; }
	@$(BIN)/python -m deploy.local env

# Side by side; a make that can keeps together what each of them prints.
.PHONY: check check-tests
check: .venv/project ## The inner loop, under a minute: lint, unit and property tests
	@$(MAKE) --no-print-directory --keep-going --jobs 3 \
		$(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint check-tests
check-tests: .venv/project
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/unit tests/property $(PYTEST_ARGS)

.PHONY: test
test: .venv/project ## Unit, property, integration and end-to-end tests, on real servers
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: test-browser
test-browser: .venv/project ## Look at Flower with a real Chromium (CHROMIUM=... names it)
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

.PHONY: test-pgbouncer
test-pgbouncer: .venv/project ## Receiver, worker and command behind a real PgBouncer (PGBOUNCER=... names it)
	$(BIN)/python -m pytest tests/pgbouncer $(PYTEST_ARGS)

# What the example in Node needs; the lock file names no registry, so the one that npm is set up with is asked.
var/partners/node_modules/.package-lock.json: tests/partners/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install it (Debian: apt-get install npm)" >&2; exit 1; }
	@mkdir -p var/partners
	@cp tests/partners/package.json tests/partners/package-lock.json var/partners/
	@npm ci --prefix var/partners --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

.PHONY: test-partners
test-partners: .venv/project var/partners/node_modules/.package-lock.json ## Run the examples of docs/contract, in each language, against the real service
	$(BIN)/python -m pytest tests/partners $(PYTEST_ARGS)

.PHONY: faults faults-long faults-hosts faults-hosts-long
faults: .venv/project ## Kill, cut and freeze everything, the short form; writes var/faults/report.json
	@$(BIN)/python -m tests.faults run --short $(FAULTS_ARGS)
faults-long: .venv/project ## The long form: at least 60 kills of workers over at least 60,000 events
	@$(BIN)/python -m tests.faults run --long $(FAULTS_ARGS)
# Hosts are network namespaces: as root, with Debian's iproute2 and nftables. Where they cannot be built it fails.
faults-hosts: .venv/project ## Hosts of their own, cut from each other, servers failed over; writes var/faults-hosts/report.json
	@$(BIN)/python -m tests.faults.hosts run --short $(FAULTS_ARGS)
faults-hosts-long: .venv/project ## The same with the product's own times
	@$(BIN)/python -m tests.faults.hosts run --long $(FAULTS_ARGS)

# Environments of their own: what ours is measured against is nothing that ours needs. The first has the very
# versions of .venv and the peers beside them; arq wants an older redis-py than Celery.
BENCH_PIP := bin/python -m pip --quiet --disable-pip-version-check --no-input
.venv-bench/packages: tests/benchmarks/bench.lock
	@"$(PYTHON)" -c '$(RECENT)' 2>/dev/null || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@echo "Setting up .venv-bench (once; takes about a minute)"
	@"$(PYTHON)" -m venv --clear .venv-bench
	@.venv-bench/$(BENCH_PIP) install --require-hashes --requirement tests/benchmarks/bench.lock
	@touch $@

.venv-bench/project: $(PROJECTS) .venv-bench/packages
	@.venv-bench/$(BENCH_PIP) install $(OURS)
	@touch $@

.venv-bench-arq/packages: tests/benchmarks/arq.lock .venv-bench/packages
	@"$(PYTHON)" -m venv --clear .venv-bench-arq
	@.venv-bench-arq/$(BENCH_PIP) install --require-hashes --requirement tests/benchmarks/arq.lock
	@touch $@

.PHONY: bench bench-document
bench: .venv-bench/project .venv-bench-arq/packages ## Measure it beside its limits and peers; writes var/bench/report.json
	@CASHBACK_BENCH_ARQ_PYTHON="$(CURDIR)/.venv-bench-arq/bin/python" \
		.venv-bench/bin/python -m tests.benchmarks run $(BENCH_ARGS)
bench-document: .venv-bench/project ## Put the last run of bench into docs/performance.md
	@.venv-bench/bin/python -m tests.benchmarks document $(BENCH_ARGS)

# In the benchmarks' environment, which can draw.
SOAK_MINUTES ?= 60
.PHONY: soak
soak: .venv-bench/project ## SOAK_MINUTES (60) of load with an ill BETCORE, and what grows; writes var/soak/report.json
	@.venv-bench/bin/python -m tests.soak run --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

# An environment of its own that finds in .venv what is there, this project too: of the lock file, which pins all that
# the fuzzers run with, only what .venv has not is fetched.
PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))
SEES_IT := import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))
.venv-fuzz/packages: tests/fuzz/fuzz.lock .venv/packages
	@echo "Setting up .venv-fuzz (once; takes some seconds)"
	@$(BIN)/python -m venv --clear --without-pip .venv-fuzz
	@$(BIN)/python -c '$(SEES_IT)' > "$$(.venv-fuzz/bin/python -c '$(PURELIB)')/venv.pth"
	@$(PIP) --python .venv-fuzz/bin/python install --require-hashes --requirement tests/fuzz/fuzz.lock
	@touch $@

# Requests to a running receiver are slower than the others, and few find what they find.
FUZZ_CASES ?= 1000000
FUZZ_MINUTES ?= 0
FUZZ_EXAMPLES ?= 300
.PHONY: fuzz
fuzz: .venv/project .venv-fuzz/packages ## FUZZ_CASES (1,000,000) hostile inputs, or FUZZ_MINUTES of them, and FUZZ_EXAMPLES requests
	@.venv-fuzz/bin/python -m tests.fuzz run --cases $(FUZZ_CASES) --minutes $(FUZZ_MINUTES) $(FUZZ_ARGS)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) .venv-fuzz/bin/python -m pytest tests/fuzz/door $(PYTEST_ARGS)

.PHONY: siege siege-document
siege: .venv/project ## Floods and stalls against a receiver on this machine, and what honest makes keep; writes var/siege/report.json
	@$(BIN)/python -m tests.siege run $(SIEGE_ARGS)
siege-document: .venv/project ## Put the last run of siege into docs/security.md
	@$(BIN)/python -m tests.siege document $(SIEGE_ARGS)

.PHONY: lint lint-style lint-format lint-types lint-imports
lint: lint-style lint-format lint-types lint-imports ## Style, format, types, and who may import whom
lint-style: .venv/project
	$(BIN)/ruff check .
lint-format: .venv/project
	$(BIN)/ruff format --check .
lint-types: .venv/project
	$(BIN)/mypy
lint-imports: .venv/project
	$(BIN)/lint-imports

# uv resolves for all platforms and Python versions at once; --upgrade takes newer releases. The others, but arq's
# and the supply tools', are held to the first, so what is tested is what is shipped.
UV_COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header \
	--no-emit-package cashback-client $(LOCK_ARGS)
.PHONY: lock
lock: ## Pin all packages again (needs uv; LOCK_ARGS=--upgrade takes newer ones)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv on the PATH, or UV=/path/to/uv" >&2; exit 1; }
	$(UV_COMPILE) pyproject.toml --group dev --output-file requirements-dev.lock
	$(UV_COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(UV_COMPILE) pyproject.toml --group dev --group bench --constraint requirements-dev.lock \
		--output-file tests/benchmarks/bench.lock
	$(UV_COMPILE) pyproject.toml --group dev --group fuzz --constraint requirements-dev.lock \
		--output-file tests/fuzz/fuzz.lock
	$(UV_COMPILE) --group bench-arq --output-file tests/benchmarks/arq.lock
	$(UV_COMPILE) --group build --constraint requirements-dev.lock --output-file deploy/build.lock
	$(UV_COMPILE) --group supply --output-file deploy/supply.lock

.PHONY: licences
licences: .venv/project ## Write docs/licences.md: under which licence each package is that is shipped
	@$(BIN)/python -m deploy.supply.licences

# Environments of their own: the tools are not what is tested or shipped, and the bill of materials lists what is
# shipped and nothing else, so not even pip.
.venv-supply/packages: deploy/supply.lock
	@"$(PYTHON)" -c '$(RECENT)' 2>/dev/null || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv-supply
	@.venv-supply/$(BENCH_PIP) install --require-hashes --requirement deploy/supply.lock
	@touch $@

.venv-shipped/packages: requirements.lock .venv-supply/packages
	@"$(PYTHON)" -m venv --clear --without-pip .venv-shipped
	@.venv-supply/$(BENCH_PIP) --python .venv-shipped/bin/python install --require-hashes --requirement requirements.lock
	@touch $@

# The registry that names without a host mean.
IMAGE_REGISTRY ?= https://registry-1.docker.io
.PHONY: image-digests
image-digests: .venv/project ## Pin the images of Dockerfile and docker-compose.yml by digest (needs their registry)
	@$(BIN)/python -m deploy.supply.image_digests --registry "$(IMAGE_REGISTRY)"

.PHONY: sbom audit
sbom: .venv-shipped/packages ## List what is shipped, with versions, licences and who needs whom: var/sbom.json (CycloneDX)
	@mkdir -p var
	@.venv-supply/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file var/sbom.json .venv-shipped/bin/python
	@.venv-supply/bin/python -m deploy.supply.sbom
audit: .venv-supply/packages ## Ask whether a fault is known of a package that is shipped (needs the package index)
	@.venv-supply/bin/python -m deploy.supply.audit

.PHONY: clean
clean: ## Remove .venv, caches, and var/ with the local ledger in it
	rm -rf .venv .venv-bench .venv-bench-arq .venv-fuzz .venv-supply .venv-shipped var dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
