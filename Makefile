# `make` lists the targets. They write to .venv, .build and .cache, and to the tools' own caches (.hypothesis,
# .mypy_cache, .pytest_cache, .ruff_cache, .coverage, *.egg-info). `make clean` removes all of these.
# Only `make docs`, `make units` and `make release` change files that git tracks.

PYTHON = python3
TESTS =
AT_ONCE = 4
SUITE =
MEASURE =

VIRTUALENV = .venv
BIN = $(VIRTUALENV)/bin
READY = $(VIRTUALENV)/ready
DEMO = $(CURDIR)/.build/demo
PYTEST = $(BIN)/python -m pytest -n $(AT_ONCE) --dist loadgroup
UNIT = $(BIN)/python -m pytest -n 4 --dist worksteal --hypothesis-profile='few examples' -m '$(ALONE)'
COVERAGE = --cov --cov-report=term:skip-covered
ALONE = not (supervisord or celery or versions or engines or package or strace or thorough or root or host or chaos or soak)

# Otherwise Python would compile many modules again each time a test starts it.
export PYTHONDONTWRITEBYTECODE =

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target text; do \
	    printf '%-16s %s\n' "$$target" "$$text"; \
	done

test: lint packages ## lint, then run all tests; TESTS=tests/config runs some of them, AT_ONCE=1 one at a time
	$(PYTEST) $(MEASURE) $(TESTS)

unit: $(READY) ## run the tests that need no supervisord, Celery, root, host or network, in under a minute
	$(UNIT) $(TESTS)

coverage: $(READY) ## run the tests of `make unit` and check that they cover as much of procman/ as setup.cfg requires
	$(UNIT) $(COVERAGE)

lint: $(READY) ## check style, types, and the words of pages, messages and test names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m scripts.check_words

test-trixie: $(READY) packages ## run the tests of booted hosts on Debian 13, and those of unit files with sid too (needs root)
	PROCMAN_HOST_SUITE=trixie $(PYTEST) -m "not chaos and not soak" $(or $(TESTS),tests/host)
	$(BIN)/python -m tests.host.parsers sid

chaos: $(READY) packages ## interrupt an install at every system call instead of a sample, and stop busy workers at random moments
	$(PYTEST) -m chaos $(TESTS)

soak: $(READY) packages ## count false alarms during an hour (or SOAK_MINUTES=...) of busy work and broker restarts, deploy three times while tasks of that length run, then account for the tasks of SOAK_KILLS=200 kills (needs root)
	$(BIN)/python -m pytest -m soak -s tests/host/test_soak.py tests/host/test_overlap_deploys.py tests/contracts/test_account_of_kills.py

demo: $(READY) ## run a Django project under supervisord, and restart its worker without losing a task
	sh demo/run.sh $(CURDIR)/$(BIN)/procman $(BIN)/python $(DEMO)

demo-web: $(READY) ## show the demo in Django's admin, on http://127.0.0.1:8000 (or PORT=...), until Ctrl-C
	sh demo/web.sh $(CURDIR)/$(BIN)/procman $(BIN)/python $(DEMO) $(PORT)

demo-stop: ## stop the demo and remove its files
	sh demo/stop.sh $(CURDIR)/$(BIN)/procman $(DEMO)

host: $(READY) ## open a shell in a booted, disposable Debian, with SUITE=trixie Debian 13 (needs root)
	PROCMAN_HOST_SUITE=$(SUITE) $(BIN)/python -m tests.host

bench: $(READY) ## compare procman with supervisorctl and a ping, and measure planning by the number of programs
	$(BIN)/python -m benchmarks.status
	$(BIN)/python -m benchmarks.health
	$(BIN)/python -m benchmarks.planning
	$(BIN)/python -m benchmarks.probes

kubernetes: $(READY) packages ## try an exported project on a real Kubernetes, built from Debian's source once (needs root; 12 minutes)
	$(BIN)/python -m tests.kubernetes

release: $(READY) ## build the wheels and source distributions twice, date CHANGELOG.md, tag, and begin the next version
	$(BIN)/python -m scripts.release

docs: $(READY) ## regenerate the tables of docs/configuration.md and the man pages, after changing a key or help text
	$(BIN)/python -m scripts.configuration_reference docs/configuration.md
	$(BIN)/python -m scripts.man_pages man

site: $(READY) ## build the documentation as a site with search, in .build/site
	$(BIN)/mkdocs build --strict

units: $(READY) ## render units/ again, after changing a template
	$(BIN)/python -m tests.render_units

clean: demo-stop ## remove everything that make has created
	rm -rf $(VIRTUALENV) .build .cache build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

packages:
	@.ci/packages

$(READY): setup.cfg pyproject.toml Makefile
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null || \
	    .ci/virtualenv $(VIRTUALENV) $(PYTHON)
	@# compat: a path, which each Python reads at its start, instead of a finder, whose imports take 15 ms. As a variable,
	@# because pip before 22.1 has no such option.
	PIP_CONFIG_SETTINGS=editable_mode=compat $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

.PHONY: help test test-trixie unit coverage lint chaos soak demo demo-web demo-stop host bench kubernetes release docs site units clean packages
