# The commands of this project. `make` lists them.
.PHONY: help run emulate check watch dev test test-all test-floor test-newest pythons coverage proof load soak bench bench-growth profile instructions imports bench-emulator bench-batching bench-attribution conformance \
	reliability parse-spec lock lock-function sbom audit bundle zip layer image push verify-deploy settings reference console-pictures map docs dist release clean
MAKEFLAGS += --no-print-directory
PIP = -m pip --disable-pip-version-check --no-input install --quiet

# $(call python,3.12): an interpreter of that version which can make an environment, or nothing. Each is tried by
# running it: pyenv leaves names on PATH that do not run, and Debian's own Python comes without ensurepip.
comma := ,
python = $(shell for p in python$(1) python3 "$$HOME"/.pyenv/versions/$(1).*/bin/python; do \
	"$$p" -c 'import sys, ssl, ensurepip; sys.exit(sys.version_info[:2] != ($(subst .,$(comma),$(1))))' \
	2>/dev/null && echo "$$p" && break; done)
SUPPORTED = 3.15 3.14 3.13 3.12 3.11
PYTHON = $(or $(firstword $(foreach v,$(SUPPORTED),$(call python,$(v)))),$(error No Python 3.11 to 3.15 \
	that can make an environment was found. Install one (on Debian with python3-venv), or say make PYTHON=...))

# $(call environment,.venv): make it where it is not there; end with one line where its Python is not a supported one.
environment = $(if $(wildcard $(1)/bin/python),$(call check,$(1)/bin/python),$(call check,$(PYTHON)) && $(PYTHON) -m venv $(1))
check = $(1) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 16))' 2>/dev/null || { \
	echo "$(1) is not a Python 3.11 to 3.15: 'make clean' removes .venv; PYTHON=... names another Python" >&2; exit 1; }

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 26

run: $(if $(findstring --reload,$(ARGS)),.venv/dev.stamp,.venv/run.stamp) ## serve index.py; ARGS="--port 9001" is passed on
	@exec .venv/bin/fc-event-service $(ARGS)

emulate: .venv/dev.stamp ## Function Compute on this machine, for s.yaml; ARGS="--json" is passed on
	@exec .venv/bin/fc-event-service emulate $(DESK) $(ARGS)

check: .venv/dev.stamp ## what of s.yaml, settings, code and lock fits, and what does not; ARGS="--run" measures, too
	@exec .venv/bin/fc-event-service check $(ARGS)

watch: .venv/dev.stamp ## a live table of the service on port 9000; ARGS="--url http://127.0.0.1:9001" is passed on
	@exec .venv/bin/fc-event-service watch $(ARGS)

# What is tried on both event loops is tried on one by each Python, and on the other by the next one.
USUAL = not long and not other_loop
# Neighbours stay together, in a process that has made what they share; who has nothing left takes from others.
SPREAD = -n 4 --dist worksteal
# One process compiles the tests, whose asserts pytest rewrites, and the service: else each process that follows does so
# again if the shell says that byte code is not kept. What cannot be collected is told by the run itself.
compiled = PYTHONDONTWRITEBYTECODE= $(1)/bin/python -m pytest --collect-only -q >/dev/null 2>&1 || true

dev: .venv/dev.stamp ## make the environment for work on the project

test: .venv/dev.stamp ## format, lint, types, tests
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	$(call compiled,.venv) & .venv/bin/mypy; types=$$?; wait; exit $$types
	.venv/bin/python -m pytest $(SPREAD) -m "not alone and $(USUAL)" $(ARGS)
	.venv/bin/python -m pytest -m "alone and $(USUAL)" $(or $(ARGS),tests/system)

coverage: .venv/dev.stamp ## which lines and branches of the service the tests reach; takes a minute longer than they do
	.venv/bin/python -m pytest -n 4 -m "not alone and not long" --cov $(ARGS)

test-all: ## the tests on each supported Python of this machine
	@$(MAKE) $(or $(strip $(foreach v,$(sort $(SUPPORTED)),$(if $(call python,$(v)),test-$(v)))),$(error No Python 3.11 to 3.15))

pythons:
	@echo $(foreach v,$(sort $(SUPPORTED)),$(if $(call python,$(v)),$(v)))

test-floor: ## what meets the dependencies, on the oldest of each that is allowed
test-newest: ## the same on the newest of each
test-floor test-newest: test-%: build/%/stamp
	build/$*/bin/python -m pip freeze | grep -iE '^(aiohttp|msgspec|orjson|uvloop)='
	build/$*/bin/python -m pytest -n 4 -m "not alone and not long" $(MEETING) $(ARGS)

test-%: .venv-%/dev.stamp
	@echo "== Python $*"
	@$(call compiled,.venv-$*)
	@.venv-$*/bin/python -m pytest $(SPREAD) -m "not alone and $(USUAL)" $(ARGS)
	@.venv-$*/bin/python -m pytest -m "alone and $(USUAL)" $(or $(ARGS),tests/system)

load: .venv/dev.stamp ## a load test that climbs to 200 users; TARGET=emulator shows the scale-out; leaves reports/
	.venv/bin/python tests/load/run.py --target $(or $(TARGET),service) $(ARGS)

proof: .venv/dev.stamp ## the long proofs, and the other event loop: 10,000 calls of each kind, 200 bodies of 32 MiB at once, 10,000 mutants, a soak at full speed, 200 lives
	ATTRIBUTION_CALLS=10000 .venv/bin/python -m pytest --timeout 600 -rP tests/system/test_attribution.py
	.venv/bin/python -m pytest --timeout 600 -rP -m long
	.venv/bin/python -m pytest -n 4 -m "other_loop and not alone and not long" tests/system
	.venv/bin/python -m pytest -m "other_loop and alone and not long" tests/system
	MUTANTS=10000 .venv/bin/python -m pytest --timeout 600 tests/system/test_malformed.py -k mutants
	.venv/bin/python -m pytest -n 4 --timeout 600 --hypothesis-profile=thorough tests/calls/test_encode.py tests/calls/test_shapes.py tests/context/test_plain.py
	MODEL_EXAMPLES=200 .venv/bin/python -m pytest --hypothesis-profile=search tests/system/test_model.py

# A benchmark runs on the Pythons that ARGS names (--python 3.14), or else on the newest one that is here. Each has an
# environment of its own, with the peers. A call's time on 3.11 is compared with 3.13's in every run.
asked = $(sort $(shell echo '$(ARGS)' | grep -oE '\b3\.1[1-9]\b'))
BENCHED = $(eval BENCHED := $(or $(asked),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')))$(BENCHED)
BENCH = .venv-bench-$(firstword $(BENCHED))
benched = @$(MAKE) $(patsubst %,.venv-bench-%/stamp,$(sort $(BENCHED) $(1)))
COMPARED = $(foreach v,3.11 3.13,$(if $(call python,$(v)),$(v)))

soak: ## ten minutes of all that can happen: does anything grow? ARGS="--minutes 1", --publish; leaves reports/soak.png
	$(benched)
	$(BENCH)/bin/python -m tests.soak.run $(ARGS)

bench: ## how fast we are, and the peers; ARGS="--python 3.14", "--quick", "--only small"; leaves reports/bench/
	$(call benched,$(COMPARED))
	$(BENCH)/bin/python -m benchmarks.speed $(ARGS)

bench-growth: ## how cost grows with connections, body and wait; eight minutes; leaves reports/bench/growth.png
	$(benched)
	$(BENCH)/bin/python -m benchmarks.growth $(ARGS)

profile: ## where a call's microseconds go: a table and reports/bench/flame.svg
	$(benched)
	$(BENCH)/bin/python -m benchmarks.profile $(ARGS)

instructions: ## how many instructions an event takes, here and in the peers: the same number each time; needs valgrind
	$(benched)
	$(BENCH)/bin/python -m benchmarks.instructions $(ARGS)

imports: ## what is imported before the port opens, and what each package takes
	$(benched)
	$(BENCH)/bin/python -m benchmarks.imports $(ARGS)

bench-emulator: .venv/dev.stamp ## what a call through the emulator costs
	.venv/bin/python -m benchmarks.emulator $(ARGS)

bench-batching: ## what batching gives a model, here, by hand, in BentoML and Ray Serve; leaves reports/bench/batching.json
	$(benched)
	$(BENCH)/bin/python -m benchmarks.batching $(ARGS)

bench-attribution: ## whose log lines are whose, here and in the peers; ARGS="--calls 300"
	$(benched)
	$(BENCH)/bin/python benchmarks/attribution.py $(ARGS)

conformance: ## what RFC 9110 and 9112 ask of us and of the peers; leaves reports/conformance.json
	$(benched)
	$(BENCH)/bin/python -m benchmarks.conformance $(ARGS)

reliability: ## what is lost, hung, leaked and mixed, here and in the peers; ARGS="--quick" for a trial
	$(benched)
	$(BENCH)/bin/python -m benchmarks.faults $(ARGS)

parse-spec: .venv/dev.stamp ## Serverless Devs' parser into build/parse-spec, and tests/cases/parsed.json anew; needs npm
	npm install --silent --no-fund --no-audit --prefix build/parse-spec @serverless-devs/parse-spec@0.0.29
	.venv/bin/python -m tests.parse_spec

lock: build/uv/bin/uv ## resolve the lock files again; ARGS=--upgrade moves to newer versions
	@$(MAKE) lock-function
	$(COMPILE) pyproject.toml $(REQUIREMENTS) --extra all --group dev --constraints requirements.lock \
		--output-file requirements-dev.lock $(ARGS)
	$(COMPILE) --group uv --output-file requirements-uv.lock $(ARGS)
	$(COMPILE) --group audit --output-file requirements-audit.lock $(ARGS)
	$(COMPILE) --group docs --output-file requirements-docs.lock $(ARGS)
	$(COMPILE) --group release --output-file requirements-release.lock $(ARGS)

lock-function: build/uv/bin/uv
	@echo "Locking the packages of $(or $(REQUIREMENTS),pyproject.toml) in requirements.lock"
	@$(COMPILE) pyproject.toml $(REQUIREMENTS) --output-file requirements.lock $(ARGS)
	@$(if $(REQUIREMENTS),echo "$(seen)" >>requirements.lock)

sbom: .venv/dev.stamp ## write docs/sbom.cdx.json, the bill of materials, anew from requirements.lock
	.venv/bin/python -m tests.sbom

audit: build/audit/bin/pip-audit ## known vulnerabilities of what is deployed; LOCK=requirements-dev.lock for the tools
	@if said=$$($(AUDIT) --requirement $(LOCK) 2>&1); then echo "$(LOCK), $$(date -u +%F): $$said"; \
	elif echo "$$said" | grep -q "^Found "; then echo "$$said"; exit 1; \
	else echo "$$said" | tail -n 1; echo "NOT AUDITED: the database of known vulnerabilities did not answer," \
		"so nothing is known of $(LOCK). Try again where it can be reached."; exit 2; fi

bundle: .venv/run.stamp build/uv/bin/uv ## build/code for s.yaml: the function (FUNCTION=DIR), and in python/ the service and all packages
	@$(locked)
	@$(runnable)
	@.venv/bin/python -P -m fc_event_service bundle $(FUNCTION) --requirements requirements.lock --python $(BUNDLE) \
		--tools build/uv/bin/python $(addprefix --interpreter ,$(INTERPRETER)) $(ARGS)

zip: ## the same, and build/code.zip of it for the console: the same bytes each time for the same files
	@$(MAKE) bundle ARGS="--zip build/code.zip $(ARGS)"

layer: .venv/run.stamp ## build/layer and build/layer.zip: a Python that no runtime has, BUNDLE=3.14 INTERPRETER=FOLDER
	@$(if $(BROUGHT),:,$(error Name the Python: make layer BUNDLE=3.14 INTERPRETER=FOLDER, which has its bin/ and lib/))
	@.venv/bin/python -P -m fc_event_service bundle --layer --python $(BUNDLE) --interpreter $(BROUGHT) \
		--zip build/layer.zip $(ARGS)

image: ## build the Dockerfile (FUNCTION=DIR below this folder); BUILD="podman build -t TAG" for another tool
	@$(locked)
	$(BUILD)$(if $(filter-out .,$(FUNCTION)), --build-arg FUNCTION=$(FUNCTION)) .

verify-deploy: .venv/dev.stamp build/uv/bin/uv ## build what is deployed and drive it as the platform does; needs root, debootstrap and minutes
	@.venv/bin/python -m tests.deploy.run --build "$(BUILD)" --export '$(EXPORT)' \
		$(foreach v,3.12 3.13,$(addprefix --python $(v)=,$(call prefix,$(v)))) \
		$(addprefix --python 3.14=,$(or $(INTERPRETER),$(call prefix,3.14))) $(ARGS)

push: ## build the Dockerfile for Function Compute and push it: IMAGE=REGISTRY/NAMESPACE/NAME:TAG, as s.image.yaml says
	@$(if $(IMAGE),:,$(error Say where to: make push IMAGE=REGISTRY/NAMESPACE/NAME:TAG; `s deploy -t s.image.yaml` does))
	@$(MAKE) image BUILD="docker build --platform linux/amd64 -t $(IMAGE)"
	docker push $(IMAGE)

settings: .venv/dev.stamp ## write config/service.toml and the table of docs/settings.md anew
	.venv/bin/python -m tests.settings.test_table

reference: .venv/dev.stamp ## write docs/reference/ anew: Python names, event types, errors, commands
	.venv/bin/python -m tests.site.reference

docs: .venv/dev.stamp build/docs/bin/zensical ## the documentation's site in build/site, to be opened as files
	.venv/bin/python -m tests.site.pages build/pages
	build/docs/bin/zensical build --strict --clean
	.venv/bin/python -m tests.site.languages build/site

console-pictures: .venv/dev.stamp ## take the pictures of docs/console.md anew, of a running emulator; needs chromium
	.venv/bin/python -m tests.console.browser.pictures

map: .venv/dev.stamp ## draw the map of the wings in docs/how-a-call-flows.md anew, from their imports
	.venv/bin/python -m tests.wings

dist: build/release/bin/twine ## the wheel and the source archive into dist/, checked as an index page checks them
	@rm -rf dist
	@build/release/bin/python -m build --quiet --no-isolation
	@build/release/bin/twine check --strict dist/*

release: ## all of a release but its upload: make release VERSION=1.2.3
	@$(PYTHON) bundling/release.py --check "$(VERSION)"
	@$(MAKE) build/release/bin/twine .venv/dev.stamp
	@build/release/bin/python bundling/release.py "$(VERSION)"

clean: ## remove what these commands made
	rm -rf .venv .venv-3.* .venv-bench-3.* build dist reports *.egg-info installed/*.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The tests of what meets a dependency: the contract, the connection, the application, several workers.
MEETING = tests/http tests/process tests/workers tests/test_app.py tests/test_embed.py tests/system/test_contract.py \
	tests/system/test_connection.py tests/system/test_start_checks.py tests/system/test_workers.py
BUILD = docker build -t fc-event-service
# Writes the files of the image that BUILD has made to stdout, as a tar.
EXPORT = id=$$(docker create fc-event-service) && docker export $$id && docker rm $$id >/dev/null
prefix = $(if $(call python,$(1)),$(shell $(call python,$(1)) -c 'import sys; print(sys.base_prefix)'))
# The Python of the runtime in s.yaml, and the function's folder. A Python that no runtime has is brought along:
# INTERPRETER is the folder with its bin/ and lib/, or `layer` for one that a layer brings (`make layer`).
BUNDLE = 3.11
INTERPRETER =
BROUGHT = $(filter-out layer,$(INTERPRETER))
RUNTIMES = 3.11 3.12 3.13
runnable = $(if $(or $(INTERPRETER),$(filter $(BUNDLE),$(RUNTIMES))),:,$(error No runtime has Python $(BUNDLE): take \
	BUNDLE=$(firstword $(RUNTIMES)), or bring one along: INTERPRETER=FOLDER, which has its bin/ and lib/, or \
	INTERPRETER=layer for one in a layer))
FUNCTION = .
# The files where they are take the place of what `make bundle` makes, for a s.yaml that deploys that.
DESK = $(if $(findstring --spec,$(ARGS))$(shell grep -Es '^[^\#]*build/code' s.yaml),--code .)
# The function's own list of packages is locked beside the project's: again whenever it has changed.
REQUIREMENTS = $(firstword $(wildcard $(FUNCTION)/requirements.txt $(FUNCTION)/code/requirements.txt \
	$(if $(filter-out /% ../%,$(FUNCTION)),./requirements.txt)))
seen = \# $(REQUIREMENTS): $$(cksum <$(REQUIREMENTS))
locked = $(if $(REQUIREMENTS),grep -qx "$(seen)" requirements.lock || $(MAKE) lock-function ARGS=,:)
# Strict: a package that the database does not know is not called sound.
AUDIT = build/audit/bin/pip-audit --require-hashes --disable-pip --strict --progress-spinner off --timeout 15
LOCK = requirements.lock
UV = build/uv/bin/python service/bundling/run_uv.py
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(UV) pip compile --quiet --no-config --universal \
	--generate-hashes --python-version 3.11

# A lock names all that is needed: with --no-deps pip resolves nothing, which older ones get wrong where an extra of a
# locked package has a newer version.
# A stamp is newer than its lock file when the environment is up to date: then a command starts at once.
.venv/run.stamp: requirements.lock pyproject.toml $(REQUIREMENTS)
	@$(locked)
	@echo "Installing into .venv"
	@$(call environment,.venv)
	@.venv/bin/python $(PIP) --no-deps --require-hashes -r requirements.lock
	@.venv/bin/python $(PIP) --no-deps -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	@echo "Installing the tools into .venv"
	@.venv/bin/python $(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@# Of a package that the tools need too, the function has the version that is deployed.
	@$(if $(REQUIREMENTS),.venv/bin/python $(PIP) --no-deps --no-warn-conflicts --require-hashes -r requirements.lock)
	@touch $@

.PRECIOUS: .venv-%/dev.stamp
.venv-%/dev.stamp: requirements-dev.lock pyproject.toml
	@echo "Installing into .venv-$*"
	@test -x .venv-$*/bin/python || $(call python,$*) -m venv .venv-$*
	@.venv-$*/bin/python $(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@.venv-$*/bin/python $(PIP) --no-deps -e .
	@touch $@

# The tools as they are locked, and the run-time dependencies as old or as new as pyproject.toml allows.
build/floor/stamp: RESOLUTION = lowest-direct
build/newest/stamp: RESOLUTION = highest
build/floor/stamp build/newest/stamp: pyproject.toml requirements-dev.lock build/uv/bin/uv
	@echo "Installing into $(@D)"
	@$(call environment,$(@D))
	@$(@D)/bin/python $(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@$(UV) pip compile --quiet --no-config --python $(@D)/bin/python --resolution $(RESOLUTION) \
		--generate-hashes --output-file $(@D)/requirements.txt --upgrade pyproject.toml
	@$(@D)/bin/python $(PIP) --no-deps --no-warn-conflicts --require-hashes -r $(@D)/requirements.txt
	@$(@D)/bin/python $(PIP) --no-deps -e .
	@touch $@

.PRECIOUS: .venv-bench-%/stamp
.venv-bench-%/stamp: pyproject.toml requirements.lock
	@echo "Installing the peers into $(@D)"
	@test -x $(@D)/bin/python || $(or $(call python,$*),$(error There is no Python $* here that can make an environment)) \
		-m venv --clear $(@D)
	@$(@D)/bin/python benchmarks/peers.py
	@# Robyn and Sanic ask for older versions of what we lock, and run with ours.
	@$(@D)/bin/python $(PIP) --no-warn-conflicts --no-deps --require-hashes -r requirements.lock
	@touch $@

# Tools in environments of their own: they are no dependencies of the project. uv resolves for other platforms and
# versions, which pip cannot.
build/uv/bin/uv: requirements-uv.lock
build/audit/bin/pip-audit: requirements-audit.lock
build/release/bin/twine: requirements-release.lock
build/docs/bin/zensical: requirements-docs.lock
build/uv/bin/uv build/audit/bin/pip-audit build/docs/bin/zensical build/release/bin/twine:
	@echo "Installing $(@F) into build/$(notdir $(patsubst %/,%,$(dir $(@D))))"
	@$(PYTHON) -m venv $(dir $(@D))
	@$(dir $(@D))bin/python $(PIP) --no-deps --require-hashes -r $<
	@touch $@
