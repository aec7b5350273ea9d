# `make` lists the targets. What they make in this directory is in .venv, .build and .cache, and the caches of the tools
# beside them (.hypothesis, .mypy_cache, .pytest_cache, .ruff_cache, .coverage, *.egg-info). `make clean` removes it all.
# Only `make docs`, `make units` and `make release` change files that git tracks.

PYTHON = python3
TESTS =
AT_ONCE = 4

VIRTUALENV = .venv
BIN = $(VIRTUALENV)/bin
READY = $(VIRTUALENV)/ready
DEMO = $(CURDIR)/.build/demo
PYTEST = $(BIN)/python -m pytest -n $(AT_ONCE) --dist loadgroup
UNIT = $(BIN)/python -m pytest -n 2 --hypothesis-profile='few examples' -m '$(ALONE)'
ALONE = not (supervisord or celery or versions or package or strace or thorough or root or host or chaos or soak)

# Much of what the tests start would otherwise be compiled each time.
export PYTHONDONTWRITEBYTECODE =

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target text; do \
	    printf '%-16s %s\n' "$$target" "$$text"; \
	done

test: lint packages ## check the code, then run every test; TESTS=tests/config runs some, AT_ONCE=1 one after the other
	$(PYTEST) $(TESTS)

unit: $(READY) ## the tests that need neither supervisord nor Celery, root, a host or the network, in under a minute
	$(UNIT) $(TESTS)

coverage: $(READY) ## the tests of `make unit`, and whether they still reach as much of procman/ as setup.cfg asks for
	$(UNIT) --cov --cov-report=term:skip-covered

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: $(READY) packages ## interrupt an install at every system call, not at a sample of them
	$(PYTEST) -m chaos $(TESTS)

soak: $(READY) packages ## an hour of busy work and broker restarts, or SOAK_MINUTES=..., counting false alarms (needs root)
	$(BIN)/python -m pytest -m soak -s tests/host/test_soak.py

demo: $(READY) ## a Django project under supervisord, from nothing to a restart that loses no task
	sh demo/run.sh $(CURDIR)/$(BIN)/procman $(BIN)/python $(DEMO)

demo-stop: ## stop the demo and remove all of it
	sh demo/stop.sh $(CURDIR)/$(BIN)/procman $(DEMO)

host: $(READY) ## a shell in a booted Debian of your own that is gone afterwards (needs root)
	$(BIN)/python -m tests.host

bench: $(READY) ## measure procman against supervisorctl and a ping, and planning by the number of programs
	$(BIN)/python -m benchmarks.status
	$(BIN)/python -m benchmarks.health
	$(BIN)/python -m benchmarks.planning

release: $(READY) ## build the wheel and source distribution twice, date CHANGELOG.md, tag, and begin the next version
	$(BIN)/python -m scripts.release

docs: $(READY) ## generate the tables of docs/configuration.md and the man pages, after a change to a key or a help text
	$(BIN)/python -m scripts.configuration_reference docs/configuration.md
	$(BIN)/python -m scripts.man_pages man

site: $(READY) ## build the documentation as a site with search, in .build/site
	$(BIN)/mkdocs build --strict --quiet

units: $(READY) ## render units/ again, after a change to templates
	$(BIN)/python -m tests.render_units

clean: demo-stop ## remove all that was made
	rm -rf $(VIRTUALENV) .build .cache build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

packages:
	@.ci/packages

$(READY): setup.cfg pyproject.toml
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null || \
	    .ci/virtualenv $(VIRTUALENV) $(PYTHON)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

.PHONY: help test unit coverage lint chaos soak demo demo-stop host bench release docs site units clean packages
