.DEFAULT_GOAL := help
.PHONY: help install constraints lint format test slow faults ravdess ci ui docs clean

help:  ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install:  ## ser and what its checks need, into the active environment
	pip install -c constraints.txt -e '.[dev,docs]'

constraints:  ## newer versions of all packages into constraints.txt (needs uv); then: make ci
	uv pip compile --upgrade --universal --python-version 3.11 --all-extras --no-annotate \
		--custom-compile-command 'make constraints' pyproject.toml -o constraints.txt

lint:  ## style, spelling, types, layers
	bash .ci/run lint

format:  ## rewrite the code in the project's style
	ruff check --fix . && ruff format .

test:  ## the default tests: offline, no corpus, two minutes
	pytest

slow:  ## studies, sweeps, clusters, the docs' commands, pages in a browser
	pytest -m slow

faults:  ## kills, full disks, bad audio, servers that go away
	pytest -m faults

ravdess:  ## the tests on real audio (SER_RAVDESS_ROOT)
	pytest -m ravdess

ci:  ## all of it, README's commands first, in fresh environments
	bash .ci/run

ui:  ## browse the runs
	ser-ui

docs:  ## docs/configuration.md again, from conf/, and the site into build/site
	python docs/make_configuration.py
	mkdocs build --strict

clean:  ## caches; never runs, features or data
	rm -rf .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info
	find ser tests benchmarks experiments -name __pycache__ -prune -exec rm -rf {} +
