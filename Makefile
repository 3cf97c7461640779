# make demo        install the core and run the quick start
# make test        set up everything that the tests need, and run them
# make test-full   the same with the long versions
# make lint        formatting, style, types and import layers alone
# make lock        pin the newest versions that fit

SHIPPED := $(shell find sim calibrate harness ui scenarios -type f ! -name '*.pyc')

.PHONY: demo test test-full lint lock

demo: .venv/installed
	.venv/bin/trilemma run quickstart

# Tests run side by side already: threads of the linear algebra would only take turns.
test test-full: export OPENBLAS_NUM_THREADS := 1
test: LANE := not full
test-full: LANE := full or not full
test test-full: lint
	scripts/browser.sh
	.venv-test/bin/python -m pytest -n auto --dist worksteal -m "$(LANE)" --ignore tests/engine
	scripts/engine.sh
	$$(ls .venv-engine/bin/python .venv-test/bin/python 2>/dev/null | head -n 1) -m pytest -m "$(LANE)" tests/engine

lint: .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports

# A plain install, not an editable one, so that the demo runs what the wheel ships.
.venv/installed: pyproject.toml requirements.lock LICENSE README.md $(SHIPPED)
	.venv/bin/python -m pip --version >/dev/null 2>&1 || scripts/venv.sh .venv
	.venv/bin/python -m pip install -qq --constraint requirements.lock .
	touch $@

.venv-test/installed: pyproject.toml requirements.lock
	.venv-test/bin/python -m pip --version >/dev/null 2>&1 || scripts/venv.sh .venv-test
	.venv-test/bin/python -m pip install -qq --constraint requirements.lock --editable '.[dev,opdb]'
	touch $@

# The engine's own pins are what pip finds to fit it, as installed.
lock: .venv-test/installed
	.venv-test/bin/python -m pip install -qq --upgrade uv
	.venv-test/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --all-extras \
		--upgrade --no-header --no-annotate --output-file requirements.lock pyproject.toml
	rm -rf .venv-engine && : > requirements-engine.lock
	scripts/engine.sh
	cp .venv-engine/frozen.txt requirements-engine.lock
