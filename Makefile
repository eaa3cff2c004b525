# `make up` and `make test` need no other preparation. The recipes only spare typing: with the environment
# that `make env` prints, plain `pulumi` and `pytest` do the same.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export PYTHONPATH := $(CURDIR)
# Another Python's: with them this clone's does not start, or runs code before the program.
unexport PYTHONHOME PYTHONPLATLIBDIR PYTHONSAFEPATH PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE
# In a locale of another encoding, Python would neither read this clone's files nor print what they say.
export PYTHONUTF8 := 1
unexport PYTHONIOENCODING
python := .venv/bin/python
# For programs that take no signals themselves.
interruptible := $(python) -m tools.interruptible
# make expands what it is given: `$(shell …)` in the name of a branch, or in a file that came with an artifact, would run.
# Before any other `shell`, which has the same variables in its environment.
$(foreach word,ALLOW BACKUP BASE CLOUD DATA DIFF ERRORS FROM KEY P95_MS PROFILE STACK TESTS TO VERSION MODEL MONTHS NAME FILE PROMOTE SET URL,$(if $(and \
	$(findstring command,$(origin $(word))),$(findstring $$,$(value $(word)))),$(error \
	$(word) has a $$ in it, which make would expand. Nothing was done)))
# A fresh machine may have only one of the two names; tools/bootstrap.py finds a Python that is new enough.
system_python := $(shell command -v python3 || command -v python)
CLOUD ?=
# A stack of the shell's environment, or this clone's stack for a cloud.
# Not from the environment, where it may have been left: a command would act on a real stack unasked.
named_stack = $(if $(filter undefined,$(origin STACK)),,$(if $(findstring command,$(origin STACK)),--stack "$(STACK)",$(error \
	STACK=$(STACK) comes from the environment. Write it after the target: make … STACK=$(STACK))))
of_stack = $(CLOUD) $(named_stack)
takes_stack := up check-account preview destroy outputs key predict repair adopt backup restore guard release drift evidence
ifneq ($(and $(findstring command,$(origin STACK)),$(MAKECMDGOALS)),)
ifeq ($(filter $(takes_stack),$(MAKECMDGOALS)),)
$(error STACK=$(STACK): make $(MAKECMDGOALS) does not act on it. Leave it out$(if $(filter move,$(MAKECMDGOALS)), and write \
	FROM=… TO=…). These take STACK: $(takes_stack))
endif
endif
# The same for a word that overrules a guard, or chooses what is written over. Without the value: a KEY may be one.
not_left = $(foreach word,$1,$(if $(filter environment,$(origin $(word))),$(if $($(word)),$(error \
	$(word) comes from the environment, where it may have been left. Write it after the target: make … $(word)=…))))
# How the rehearsal's clouds behave: instant, realistic, fresh-account.
ifdef PROFILE
export TRIPLANE_REHEARSAL_PROFILE := $(PROFILE)
endif
# As `bytecode_cache` of operations/engine/environment.py, which says why.
ifdef PYTHONDONTWRITEBYTECODE
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/bytecode
endif

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{sub(/[$$][$$]/, "$$"); printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  PROFILE=realistic    the rehearsal with late grants and slow operations, on a shortened clock'
	@echo '  CLOUD=aws|gcp|azure  chooses the cloud for whatever runs on one; crash plays all three without it'
	@echo '  STACK=prod           a stack of your shell'"'"'s environment in place of the rehearsal: its backend, its credentials'

.PHONY: bootstrap
bootstrap:
	@$(system_python) tools/bootstrap.py

.PHONY: up check-account preview destroy outputs key predict
up: bootstrap ## Create or update the platform, and ask each model for a prediction; in the rehearsal, or STACK=prod
	@$(call not_left,ALLOW)$(python) -m operations up $(of_stack)
check-account: bootstrap ## Ask the account what it lacks for the stack: permissions, services, quotas (first `make up` asks, too)
	@$(python) -m operations check-account $(of_stack)
preview: bootstrap ## Show what `make up` would change; DIFF=1: each property, its old and its new value
	@$(call not_left,ALLOW DIFF)$(python) -m operations preview $(of_stack)
destroy: bootstrap ## Remove all but the data; DATA=destroy: the data too
	@$(call not_left,DATA ALLOW)$(python) -m operations destroy $(of_stack)
outputs: bootstrap ## Show the stack's outputs
	@$(python) -m operations outputs $(of_stack)
key: bootstrap ## Print the gateway's key, and nothing else on stdout, to copy it
	@$(python) -m operations key $(of_stack)
predict: bootstrap ## Ask each model of the running platform about its example; MODEL=… one of them
	@$(call not_left,MODEL)$(python) -m operations predict $(of_stack)

.PHONY: repair adopt backup restore move drill guard
repair: bootstrap ## Find what was changed or lost outside of Pulumi, and repair it (ALLOW=vanished)
	@$(call not_left,ALLOW)$(python) -m operations repair $(of_stack)
adopt: bootstrap ## Take over existing resources when Pulumi's state is lost or broken
	@$(call not_left,ALLOW)$(python) -m operations adopt $(of_stack)
backup: bootstrap ## Copy the lake's data to BACKUP=…, a folder or another bucket
	@$(call not_left,BACKUP)$(python) -m operations backup $(of_stack)
restore: bootstrap ## Create the platform again, and fill its lake from BACKUP=…
	@$(call not_left,BACKUP KEY ALLOW)$(python) -m operations restore $(of_stack)
move: bootstrap ## The platform on another cloud, while the old one serves: FROM=aws TO=gcp, KEY=keep
	@$(call not_left,KEY ALLOW)$(python) -m operations move "$(if $(findstring command,$(origin FROM)),$(FROM))" "$(if $(findstring command,$(origin TO)),$(TO))"
drill: bootstrap ## Five disasters in a separate rehearsal, timed, with a report
	@$(python) -m operations drill $(CLOUD)
# Without bootstrap: this one and `env` read stdin or are read by a shell, and must be quiet and quick.
guard: ## Refuse a preview that costs data: STACK=prod, or pulumi preview --json … | make -s guard (ALLOW=…)
	@$(call not_left,ALLOW)$(python) -m operations guard $(named_stack)

.PHONY: env rehearsal down wipe train model import check-image
# Without bootstrap, as guard.
env: ## Print the environment for plain Pulumi: eval "$$(make -s env)"
	@$(python) -m operations env
rehearsal: bootstrap ## Start the rehearsal of the three clouds
	@$(python) -m rehearsal start
	@$(python) -m rehearsal page
down: ## Stop the rehearsal and everything that it started
	@[ ! -x $(python) ] || $(python) -m rehearsal stop
wipe: down ## Forget the rehearsal's state, and the stacks in it
	@rm -rf .pulumi
	@[ ! -x $(python) ] || $(python) -m rehearsal wipe --stacks-are-gone
train: bootstrap ## Train a version of MODEL=… (default: those of Pulumi.dev.yaml); SET="name=value" (MONTHS=1-6), PROMOTE=1
	@$(call not_left,MODEL MONTHS SET PROMOTE)PYTHONPATH="$(CURDIR):lambda" $(python) -m training train --model "$$MODEL" --set "$$SET" --months "$$MONTHS" $(if $(PROMOTE),$(if $(filter 1,$(PROMOTE)),--promote,$(error PROMOTE=$(PROMOTE): write PROMOTE=1. Nothing was trained)))
check-image: bootstrap ## Whether the server at URL=http://… keeps the contract for containers with MODEL=…'s contract
	@$(call not_left,MODEL URL)$(interruptible) tools.check_image $(CLOUD) --url "$$URL" --model "$$MODEL"
model: bootstrap ## Write models/NAME/, a small complete example to change: NAME=churn
	@$(call not_left,NAME)PYTHONPATH="$(CURDIR):lambda" $(python) -m training new --name "$$NAME"
import: bootstrap ## Write models/NAME/ for an ONNX file, with a contract drafted from its graph: NAME=churn FILE=model.onnx
	@$(call not_left,NAME FILE)PYTHONPATH="$(CURDIR):lambda" $(python) -m training import --name "$$NAME" --file "$$FILE"

.PHONY: deliver release drift evidence review
deliver: bootstrap ## Play a merge: tests, staging, load test, production; TESTS=all|none
	@$(call not_left,ALLOW)$(python) -m operations deliver $(CLOUD) --tests $(or $(TESTS),fast) $(if $(P95_MS),--p95-ms $(P95_MS)) $(if $(ERRORS),--errors $(ERRORS))
release: bootstrap ## Deliver to one stack of your shell's environment: STACK=staging, STACK=production VERSION=…
	@$(call not_left,VERSION ALLOW)$(python) -m operations release $(of_stack) --version "$$VERSION"
drift: bootstrap ## Report what somebody changed by hand in a stack
	@$(python) -m operations drift $(of_stack)
evidence: bootstrap ## Pack versions, times, differences and refusals of a stack, without secrets
	@$(python) -m operations evidence $(of_stack)
review: bootstrap ## What this tree would change of what BASE (default HEAD) builds, in the rehearsal
	@$(call not_left,BASE)$(python) -m operations review $(CLOUD) --base "$(or $(and $(BASE),$$BASE),HEAD)"

.PHONY: install lint format all test check secrets audit sbom unit e2e e2e-long bench snapshots screenshots policy checkov judge pack crash mutate api-coverage soak fuzz fmt lock clean
install: bootstrap ## Install what the other targets need; all that need it call it, except env and guard
all: install lint test ## install, lint, test
test: bootstrap ## Run every check and every test except e2e-long, checkov, judge, pack and mutate, which CI runs apart
	@$(interruptible) tools.verify
lint: check ## Formatting, lint, types, the direction of imports, and secrets
check: bootstrap ## The same as `make lint`
	@$(interruptible) tools.verify format lint types imports secrets
audit: bootstrap ## Ask OSV for known vulnerabilities of all pinned packages; what may stay, and until when: tools/audit.toml
	@$(interruptible) tools.audit
sbom: bootstrap ## Write what the images and the environments consist of into .sbom/, as CycloneDX
	@$(interruptible) tools.sbom
secrets: bootstrap ## Look for credentials in the repository's files; what only looks like one: tools/secrets.toml
	@$(interruptible) tools.secret_scan
unit: bootstrap ## Unit, contract and snapshot tests: no engine, seconds
	@$(interruptible) tools.verify unit
e2e: bootstrap ## The rehearsal end to end: the real engine on all three clouds
	@$(interruptible) tools.verify e2e
e2e-long: bootstrap ## End to end on platforms that no other test shares: STACK=, moves, new accounts and machines, late grants, isolation
	@$(interruptible) tools.verify e2e-long
bench: bootstrap ## Measure speed and size against the figures in docs/design/measurements.md
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(interruptible) bench.serving
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(interruptible) bench.gateway
	@$(interruptible) bench.platform
	@$(interruptible) bench.first_prediction
snapshots: bootstrap ## Accept the plans as they are now; read the difference before you commit it
	@UPDATE_SNAPSHOTS=1 $(python) -m pytest -q tests/contract -k reviewed
	@git --no-pager diff --stat -- tests/snapshots
screenshots: bootstrap ## Take the pictures of the two pages in docs/ again; needs Chromium
	@UPDATE_SCREENSHOTS=1 $(interruptible) tools.verify screenshots
	@git --no-pager diff --stat -- 'docs/*.png'
policy: bootstrap ## Check what the program registers against the policies (STATE=export.json: an existing stack)
	@$(interruptible) policy $(if $(STATE),--state $(STATE))
checkov: bootstrap ## The same plans checked by checkov; what is waived, and why: policy/waivers.toml
	@$(interruptible) policy.checkov
judge: bootstrap ## The same plans held against cfn-lint and Google's discovery documents, and AWS in the rehearsal beside moto; AZURERM=1: and the azurerm provider
	@$(interruptible) policy.judge
	@$(if $(AZURERM),$(interruptible) policy.azurerm_judge)
	@$(interruptible) tools.verify judge
pack: bootstrap ## The policy pack on the real engine: existing stacks pass, an insecure change is refused
	@$(interruptible) tools.verify pack
crash: bootstrap ## Kill the engine and the cloud at every step, and check that `make up` repairs it (ONLY=, SAMPLE=, SEED=)
	@$(python) -m operations crash $(CLOUD) $(if $(ONLY),--only '$(ONLY)') $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))
mutate: bootstrap ## Change the code in one place after another, and see whether a test fails (ONLY=path, SAMPLE=, SEED=, KEEP=1)
	@$(interruptible) tools.mutation $(if $(ONLY),--only '$(ONLY)') $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)
api-coverage: bootstrap ## Write docs/reference/api-coverage.md: which inputs are checked against which API model
	@$(interruptible) policy.api_coverage
fuzz: bootstrap ## Raw HTTP against gateway, model server and rehearsal, and the gateway against its OpenAPI document: REQUESTS=2000 for each, SEED=
	@TRIPLANE_FUZZ_REQUESTS=$(or $(REQUESTS),2000) TRIPLANE_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) $(interruptible) tools.verify fuzz
soak: bootstrap ## The no-op proof over 10,000 generated stack files (FILES=…)
	@$(interruptible) tests.soak $(FILES)
format: fmt ## The same as `make fmt`
fmt: bootstrap ## Format the code, and bring the generated parts of docs/reference up to date
	@.venv/bin/ruff format -q .
	@.venv/bin/ruff check -q --fix .
	@$(interruptible) tools.settings_table
	@$(interruptible) tools.prerequisites
	@$(interruptible) tools.identities
lock: bootstrap ## Pin all dependencies again from requirements*.in
	@$(interruptible) tools.lock
clean: ## Remove what the checkers and tests left; keeps .venv, models and stacks
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
