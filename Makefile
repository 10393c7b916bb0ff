# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

PY ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
INSTALLED = $(VENV)/.installed

# The tester classes of the installed transformers release; HF_SDIST names a local copy of its source archive.
HF_SDIST ?=
HF_TESTS = build/hf_common
TRANSFORMERS = $$($(RUN) -c 'from importlib.metadata import version; print(version("transformers"))')

export TOKENIZERS_PARALLELISM = false
OFFLINE = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1

.PHONY: help install demo picture test stress lint format typecheck common-tests package-test docs-test export-test space-test browser mutants matrix lock audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## make .venv and install the package with its test tools

$(INSTALLED): setup.cfg constraints.txt tools/torchvision_cpu.py
	$(PY) -m venv $(VENV)
	$(RUN) -m pip install -q -c constraints.txt torch
	$(RUN) -m pip install -q -c constraints.txt -e '.[test]'
	@$(RUN) -c 'import torchvision' 2>/dev/null || { \
	  site=$$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  cp tools/torchvision_cpu.py "$$site/_torchvision_cpu.py" && \
	  echo 'import _torchvision_cpu' > "$$site/_torchvision_cpu.pth"; }
	@$(RUN) -c 'import torch, torchvision; torch.version.cuda and not torch.cuda.is_available() and print( \
	  "Note: this torch is a CUDA build on a machine without a usable GPU; it works, it is only large.")'
	@touch $@

demo: $(INSTALLED) ## segment a generated clip with the bundled model; writes demo/
	@$(OFFLINE) $(RUN) -m transformers_soc_cli demo --output demo

picture: $(INSTALLED) ## make the README's picture anew, with the bundled model
	@$(OFFLINE) $(RUN) tools/make_picture.py docs/images/demo.gif

test: $(INSTALLED) ## run the tests on two workers, offline
	$(OFFLINE) $(RUN) -m pytest -q -n 2 tests

stress: $(INSTALLED) ## run the long form of the tests of hostile input, faults, load and versions; about an hour
	$(OFFLINE) $(RUN) -m pytest -v -rA --stress -m stress tests
	$(OFFLINE) $(RUN) -m pytest -v -rA --stress -m stress tests/space
	$(OFFLINE) $(RUN) benchmarks/space_load.py --seconds 300 --clients 20 --threads 1
	$(MAKE) matrix

lint: $(INSTALLED) ## check style and formatting with ruff
	$(RUN) -m ruff check -q .
	$(RUN) -m ruff format --diff -q .

format: $(INSTALLED) ## rewrite the sources in ruff's format
	$(RUN) -m ruff check -q --fix .
	$(RUN) -m ruff format -q .

typecheck: $(INSTALLED) ## check types with mypy
	$(RUN) -m mypy

common-tests: $(HF_TESTS)/.ready ## run transformers' own tester classes on our classes
	PYTHONPATH=$(HF_TESTS) $(OFFLINE) $(RUN) -m pytest -q -n 2 -o addopts= -W ignore::pytest.PytestUnknownMarkWarning tests/common

$(HF_TESTS)/.ready: $(INSTALLED) tools/make_hf_test_stubs.py
	@rm -rf $(HF_TESTS) && mkdir -p $(HF_TESTS)/download
	@if [ -n "$(HF_SDIST)" ]; then cp "$(HF_SDIST)" $(HF_TESTS)/download/; else \
	  $(RUN) -m pip download -q --no-binary :all: --no-deps --no-build-isolation -d $(HF_TESTS)/download transformers==$(TRANSFORMERS) || { \
	    echo "common-tests needs the source archive of transformers $(TRANSFORMERS), and the package registry did not answer;" \
	      "name a local copy: make common-tests HF_SDIST=transformers-$(TRANSFORMERS).tar.gz" >&2; exit 1; }; fi
	@tar -xzf $(HF_TESTS)/download/transformers-*.tar.gz -C $(HF_TESTS)/download
	@mv $(HF_TESTS)/download/transformers-*/tests $(HF_TESTS)/hf_tests && rm -rf $(HF_TESTS)/download
	@$(RUN) tools/make_hf_test_stubs.py $(HF_TESTS)
	@touch $@

package-test: $(INSTALLED) ## build the wheel and use it outside of the checkout; FRESH=1 downloads what it depends on
	OMP_NUM_THREADS=1 $(RUN) tools/check_package.py $(if $(FRESH),--fresh)

docs-test: $(INSTALLED) ## run the code in README.md and docs/
	$(OFFLINE) $(RUN) -m pytest -q -rs tests/docs

export-test: $(INSTALLED) ## record small models as graphs and compare them, in ONNX Runtime too
	$(OFFLINE) $(RUN) -m pytest -q tests/export

space-test: $(INSTALLED) ## use the demo Space in a browser; `make browser` installs one
	$(OFFLINE) $(RUN) -m pytest -q tests/space

# Only where there is none, and where apt-get may be used: as root, or with sudo that asks for no password.
browser: ## install Debian's Chromium with its driver, for space-test
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v google-chrome >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -q && $$as_root apt-get install -q -y --no-install-recommends chromium chromium-driver; \
	else echo "There is no Chromium with chromedriver here, and apt-get cannot be used: space-test will fail." >&2; fi

mutants: $(INSTALLED) ## put small faults into loss and metrics, one at a time, and count those that tests find
	$(RUN) -m pip install -q -c constraints.txt -e '.[mutants]'
	$(OFFLINE) $(RUN) tools/check_mutants.py

matrix: ## run the tests with the oldest, the tested and the newest versions; downloads gigabytes
	$(OFFLINE) $(PY) tools/check_matrix.py

lock: $(INSTALLED) ## write the versions in .venv to constraints.txt
	@{ echo "# Versions that passed all tests together, on Python 3.11 and Linux; \`make lock\` writes them, \`make audit\` looks them up."; \
	   $(RUN) -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//'; } > constraints.txt.part
	@mv constraints.txt.part constraints.txt

# Fails where the service cannot be asked about a package, too.
audit: ## look the versions of constraints.txt up among known vulnerabilities; needs the network
	@$(PY) -m venv build/audit && build/audit/bin/pip install -q pip-audit
	build/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

clean: ## remove what the other targets made, but not .venv
	rm -rf build demo dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
	find src tests tools -name __pycache__ -type d -exec rm -rf {} +
