# Weelo's commands; `make help` lists them. Settings come from the environment or from the line:
#   make run PORT=9000 DATA=/var/tmp/weelo SIMULATE=0

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MUTMUT := .build/mutate-venv
# The deployment that `make deploy` checks; nothing is contacted.
PRODUCTION := WEELO_ENV=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	DATABASE_URL=postgresql://weelo@127.0.0.1/weelo REDIS_URL=redis://127.0.0.1:6379/0 \
	PUBLIC_URL=https://weelo.example SOCKET_URL=wss://weelo.example ALLOWED_HOSTS=weelo.example \
	ALLOWED_ORIGINS=https://weelo.example SMS_BACKEND=http SMS_HTTP_URL=https://sms.example PROXIES=1

.DEFAULT_GOAL := help
.PHONY: help run test check lint bandit types imports migrations openapi asyncapi deploy supply-chain soak bench mutate lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP) ## Start everything on PORT (8000) and PORT+1; Ctrl-C stops it, data stays in DATA
	@exec setpriv --pdeathsig TERM $(BIN)/python manage.py up

test: $(STAMP) ## Run all tests with servers of their own (ARGS='-k accept' chooses)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

MIN ?= 30
soak: $(STAMP) ## Storms, histories and crashes for about MIN minutes; writes docs/RELIABILITY.md
	$(BIN)/python -m tests.soak --minutes $(MIN) $(ARGS)

check: lint bandit types imports migrations openapi asyncapi deploy ## Lint, types, floors, migrations, contracts, settings

lint: $(STAMP) ## ruff: faults and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bandit: $(STAMP) ## Security faults in the code; what is fine says why beside it
	@mkdir -p .build
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive \
		weelo transporters orders dispatch manage.py gunicorn.conf.py 2>.build/bandit.log \
		|| { cat .build/bandit.log; exit 1; }

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy .

imports: $(STAMP) ## The floors: an import may only go down
	$(BIN)/lint-imports

migrations: $(STAMP) ## No model change without its migration
	$(BIN)/python -m tests.servers manage.py makemigrations --check --dry-run

openapi: $(STAMP) ## The HTTP contract is a valid OpenAPI document
	@mkdir -p .build
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file .build/openapi.yaml
	$(BIN)/openapi-spec-validator .build/openapi.yaml

asyncapi: $(STAMP) ## The socket contract is a valid AsyncAPI document
	$(BIN)/python -m tests.contract.asyncapi docs/asyncapi.yaml

deploy: $(STAMP) ## Django's deployment checks with settings as in production; compose.yaml
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py env --check compose.yaml

supply-chain: $(STAMP) ## Known faults and licences of all that is locked; needs the internet
	$(BIN)/python -m tests.supply_chain

bench: $(STAMP) ## Measure expiry, waves, nearness and dispatch quality into docs/ (20 minutes; ARGS=waves)
	@for name in $(or $(ARGS),expiry waves nearest quality); do $(BIN)/python -m bench $$name || exit; done

mutate: $(STAMP) $(MUTMUT)/.installed ## Mutation testing into docs/MUTATION.md: an hour (ARGS=orders/pricing.py)
	nice -n 10 $(BIN)/python -m tests.servers -m tests.mutation $(ARGS)

lock: $(STAMP) ## Resolve requirements*.in into hash-locked requirements*.txt (ARGS=--upgrade)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(ARGS) requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(ARGS) requirements-dev.in --output-file requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(ARGS) requirements-mutate.in --output-file requirements-mutate.txt

clean: ## Remove .venv, caches and build files; DATA stays
	rm -rf $(VENV) .build static-root .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Weelo needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing. On Debian: apt install python3-venv"; exit 1; }
	@echo "Installing requirements-dev.txt into $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(MUTMUT)/.installed: requirements-mutate.txt
	@$(PYTHON) -m venv $(MUTMUT)
	@$(MUTMUT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
