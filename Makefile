# Two commands do all the set-up: `make quickstart` and `make test`. The others are for people who build it.
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/astro-pulumi/tools
CHECKOV := $(TOOLS)/checkov-3.3.30/bin/checkov
KUBE_SCORE := $(TOOLS)/kube-score-1.20.0/kube-score

.PHONY: help quickstart test generate check soak lint-manifests down lock clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# pip installs uv at its locked version, uv installs the rest: nothing else is needed beforehand.
$(VENV)/.synced: requirements.lock pyproject.toml
	@echo "==> Python environment in $(VENV)"
	@test -x $(PY) || python3 -m venv $(VENV)
	@grep -A100 '^uv==' requirements.lock | sed -n '1p;/--hash/p;/# via/q' > $(VENV)/uv.lock
	@$(PY) -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@$(UV) pip sync --quiet --python $(PY) --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(PY) --no-deps --editable .
	@touch $@

quickstart: $(VENV)/.synced ## From a fresh machine to a running Airflow with a finished DAG run
	@$(PY) -m local.quickstart

test: check ## Run all tests: unit, plugin, and cluster on a real Kubernetes
	@$(PY) -m local up
	@$(PY) -m pytest -n 2 --dist loadgroup tests/plugin tests/cluster

generate: $(VENV)/.synced ## Write schema.json, docs/arguments.md and the tables of docs/lint.md
	@$(PY) -m tools.generate

check: $(VENV)/.synced ## Format, lint, types, generated files and unit tests
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(PY) -m tools.generate --check
	@$(PY) -m pytest -n logical --dist worksteal tests/unit

soak: $(VENV)/.synced ## Run the long tests: kills of Pulumi, many DAG deploys, Airflow 2 to 3 and back twice
	@$(PY) -m pytest -s tests/soak

lint-manifests: $(VENV)/.synced $(CHECKOV) $(KUBE_SCORE) ## Judge rendered Deployments with checkov and kube-score
	@CHECKOV=$(CHECKOV) KUBE_SCORE=$(KUBE_SCORE) $(PY) -m tests.manifests.lint

# Not in requirements.lock: checkov pins versions that nothing else here could live with.
$(CHECKOV): | $(VENV)/.synced
	@echo "==> checkov in $(TOOLS)"
	@$(UV) venv --quiet --clear --python $(PY) $(TOOLS)/checkov-3.3.30
	@$(UV) pip install --quiet --python $(TOOLS)/checkov-3.3.30/bin/python checkov==3.3.30

$(KUBE_SCORE):
	@echo "==> kube-score in $(TOOLS), from its Go module"
	@CGO_ENABLED=0 GOBIN=$(dir $@) go install github.com/zegl/kube-score/cmd/kube-score@v1.20.0

down: $(VENV)/.synced ## Stop and remove all that `make quickstart` started, and nothing else
	@$(PY) -m local.quickstart down

lock: ## Write requirements.lock anew from the ranges in pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --extra cli --group dev --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

clean: ## Remove the Python environment and caches of this checkout
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
