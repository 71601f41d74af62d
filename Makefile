# Two commands set a fresh machine up (Python 3.11 or newer, make, git): `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Of `test`: one more than there are cores, since the one that has the containers waits most of its time.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(8, 1 + (os.cpu_count() or 1)))')
COMPILE := --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: demo test test-simulated test-containers test-browser check coverage image nightly campaign findings oracle proof mutation bench docs dist lock clean

demo: $(READY)
	@echo "== sets, siblings kept, a partition: nothing may be lost"
	$(BIN)/splitbrain run sets --env sim --nodes 5 --faults partition --seed 7 --time-limit 60
	@echo
	@echo "== the same, last write wins: acknowledged writes are lost (exit code 1 is the expected outcome)"
	@$(BIN)/splitbrain run sets --env sim --nodes 5 --faults partition --seed 7 --time-limit 60 \
		--config conflicts=lww; code=$$?; \
	if [ $$code -eq 1 ]; then echo; echo "as expected: exit code 1, invalid"; \
	else echo "expected exit code 1, got $$code" >&2; exit 3; fi
	@echo
	@echo "== a campaign of a minute on a store with a planted defect: it is found (exit code 1 is the expected outcome)"
	@$(BIN)/splitbrain campaign --for 60s --until-failures 1 --shrink 30 --seed 1 --out runs/campaigns \
		--config defect=one-winner-repair --config unsafe=true; code=$$?; \
	if [ $$code -eq 1 ]; then echo; echo "as expected: exit code 1, invalid"; \
	else echo "expected exit code 1, got $$code" >&2; exit 3; fi

test: $(READY) check
	$(BIN)/pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder

# The parts of `test`, for where one of them is wanted alone. No engine answers at /dev/null, so what needs one skips.
test-simulated: $(READY)
	DOCKER_HOST=unix:///dev/null $(BIN)/pytest --ignore tests/browser

test-containers: image
	SPLITBRAIN_REQUIRE_DOCKER=1 $(BIN)/pytest tests/harness/hosts tests/harness/systems tests/findings \
		tests/jepsen/test_containers.py tests/jepsen/test_hosts.py tests/jepsen/test_membership.py \
		tests/jepsen/test_power_cuts.py tests/jepsen/test_stock_nodes.py

test-browser: $(READY)
	SPLITBRAIN_REQUIRE_BROWSER=1 $(BIN)/pytest tests/browser

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

# Of what `test-simulated` reaches, subprocesses included.
coverage: $(READY)
	$(BIN)/coverage erase
	DOCKER_HOST=unix:///dev/null $(BIN)/coverage run -m pytest -q --ignore tests/browser
	$(BIN)/coverage combine --quiet
	$(BIN)/python -m tests.coverage_by_folder

image: $(READY)
	$(BIN)/python -m splitbrain.harness.hosts.containers.image

nightly: oracle proof campaign findings

# An hour, with a seed of its own every time. Its summary is campaigns/*/index.html.
campaign: $(READY)
	$(BIN)/splitbrain campaign --for 60m --shrink 60 --junit campaigns/junit.xml

# What is published of systems that people run, found again: docs/findings.md. About two hours; it goes on where it was.
findings: $(READY)
	$(BIN)/python -m tests.findings.table

oracle: $(READY)
	$(BIN)/python -m tests.checkers.oracle_run 100000

proof: $(READY)
	$(BIN)/python -m tests.store.proof changes 1000
	$(BIN)/python -m tests.store.proof outages 1500
	$(BIN)/python -m tests.store.proof crashes 2500
	$(BIN)/python -m tests.store.wire.hostile_run 1000000
	$(BIN)/python -m tests.harness.running.interrupts_run 1000
	$(BIN)/python -m tests.store.wire.replays_run 1000000
	$(BIN)/python -m tests.harness.running.swarm_run 10000
	$(BIN)/python -m tests.hostile.io_errors_run
	SPLITBRAIN_HOSTILE=all $(BIN)/pytest -q tests/hostile

# Which mistakes in checkers their tests would notice: docs/mutation.md. About an hour.
mutation: $(READY)
	$(BIN)/python -m tests.mutation.mutation_run --page

bench: $(READY)
	$(BIN)/python -m benchmarks.simulation
	$(BIN)/python -m benchmarks.checkers
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.antientropy
	$(BIN)/python -m benchmarks.gossip
	$(BIN)/python -m benchmarks.placement
	$(BIN)/python -m benchmarks.serving

# The site of the documents, with warnings as errors: build/site/index.html. The runs of its gallery take half a minute.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The sdist, and the wheel built from it, with the list of what it needs.
dist: $(READY)
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python .ci/sbom dist/*.whl

# The versions and hashes of what development and the nodes' image use, as they are newest now. Look at what changed.
lock: $(READY)
	$(BIN)/pip-compile $(COMPILE) --extra dev --output-file requirements/dev.txt pyproject.toml
	$(BIN)/pip-compile $(COMPILE) --constraint requirements/dev.txt \
		--output-file harness/hosts/layers/node-packages.txt requirements/node.in

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "splitbrain needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
ifdef LOCKED
	@test -f requirements/dev.txt || { echo "requirements/dev.txt is not there; make it with \`make lock\`" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
else
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
endif
	@touch $@
