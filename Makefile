PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The versions that the tests passed with; `make CONSTRAINTS=` takes the newest there are.
CONSTRAINTS ?= --constraint constraints.txt

.PHONY: help demo constraints test test-lowest test-long test-longest lint notebooks lab dashboards site hosting bench gpu clean
help:
	@echo "make demo            train and diagnose a two-stage VAE on pictures (one to three minutes)"
	@echo "make test            run every example of a docstring, and every test but the long ones"
	@echo "make test-long       run the long tests: every solved notebook, JupyterLab, the site (TESTS=tests/test_notebooks.py for some)"
	@echo "make test-longest    before a release: readers' copies of the notebooks, toys trained for minutes, hunts for mutants"
	@echo "make lint            check style, layout and the number of type errors"
	@echo "make lab             open the course in JupyterLab"
	@echo "make dashboards      open the interactive views as pages without code (VAELAB_MODEL=folder for your own)"
	@echo "make site            build the course as static pages, in build/site/html"
	@echo "make hosting         write docs/links.md for Binder, Colab and a hub (URL=address of the repository)"
	@echo "make notebooks       rebuild the notebooks whose source changed"
	@echo "make bench           measure speed and memory"
	@echo "make gpu             measure on a GPU what has no figure yet, for 25 minutes (MINUTES=N); the same command goes on"
	@echo "make test-lowest     run the parts' tests with the oldest versions that pyproject.toml allows"
	@echo "make constraints     write down the versions that are installed, once the tests pass with them"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vaelab needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable ".[course,test,browser,app,flows,metrics,cluster,site]"
	touch $@

demo: $(STAMP)
	$(BIN)/vaelab demo

test: $(STAMP)
	$(BIN)/vaelab test

LONG = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --durations 10
test-long: $(STAMP)
	$(LONG) -m "long and not longest" $(TESTS)

test-longest: $(STAMP)
	$(LONG) -m longest $(TESTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/count_type_errors.py

lab: $(STAMP)
	$(BIN)/vaelab lab

dashboards: $(STAMP)
	$(BIN)/vaelab dashboards

notebooks: $(STAMP)
	$(BIN)/vaelab notebooks build

site: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python docs/build.py

hosting: $(STAMP)
	$(BIN)/python docs/hosting.py "$(URL)"

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/streaming.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mmd.py
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/metrics.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/widgets.py
	$(BIN)/python benchmarks/imports.py

gpu: $(STAMP)
	$(BIN)/python benchmarks/on_gpu.py --minutes $(or $(MINUTES),25)

constraints: $(STAMP)
	$(BIN)/python -m pip list --format freeze --exclude-editable | grep -v -e '^pip==' -e '^setuptools==' -e '^vaelab==' > constraints.txt
	touch $(STAMP)

LOWEST := .venv-lowest
test-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python tests/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable ".[test]"
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q tests/test_posteriors.py tests/test_likelihoods.py tests/test_networks.py tests/test_terms.py tests/test_models.py tests/test_training.py tests/test_streaming.py tests/test_densities.py tests/test_estimators.py tests/test_doors.py tests/test_checkpoints.py

clean:
	rm -rf $(VENV) $(LOWEST)
