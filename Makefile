# fcgi-webapp. `make` says what there is.

# The version stands here and nowhere else; the release sets it.
VERSION := 0.1.0

# Libraries of the application, by the names that pkg-config knows: sqlite3 libpq. The build,
# `make deps` and the image follow. NAME:PACKAGE names the Debian package where it is neither
# libNAME-dev nor, for a NAME that begins with lib, NAME-dev: libcurl:libcurl4-openssl-dev.
LIBS :=

BUILD ?= build
CC ?= cc
PYTHON := /usr/bin/python3
PYTEST := $(PYTHON) -m pytest -q -p no:cacheprovider

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
HARDENING := -fPIE -fasynchronous-unwind-tables -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
	$(if $(findstring x86_64,$(shell uname -m)),-fcf-protection)
OPTIMISE ?= -O2 -g
CFLAGS_OWN = -std=gnu17 -D_GNU_SOURCE -Ifcgi $(WARNINGS) $(HARDENING) \
	$(OPTIMISE) -MMD -MP $(CFLAGS)
# Not $(file <...): make 4.3 does not always strip its newline.
CFLAGS_ALL = $(CFLAGS_OWN) $(shell cat $(BUILD)/library-cflags)
# What fcgi/fastcgi/libfcgi.c does in libfcgi's place. In the archive, since the shared library calls
# its own functions where it was linked with -Bsymbolic-functions, as on Ubuntu.
WRAPPED := -Wl,--wrap=OS_Read,--wrap=OS_Write,--wrap=OS_IpcClose
LDFLAGS_ALL = -pie -Wl,--build-id -Wl,-z,relro,-z,now -Wl,--as-needed $(WRAPPED) $(LDFLAGS)
LIBRARIES := fcgi json-c libseccomp $(foreach library,$(LIBS),$(firstword $(subst :, ,$(library))))
LDLIBS = $(shell cat $(BUILD)/library-libs) -lm -lpthread

# One short line a step; V=1 shows the commands.
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $@;)

SOURCES := $(sort $(shell find fcgi -name "*.c"))
GENERATED := $(BUILD)/version.o $(BUILD)/page.o
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(GENERATED)
LIBRARY := $(BUILD)/libfcgi-webapp.a
PROGRAM := $(BUILD)/fcgi-webapp
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c)) \
	$(FUZZERS:%=$(BUILD)/tests/test_fuzz_%)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- build ------------------------------------------------------------------

.PHONY: deps build clean
deps: ## install what is missing (Debian packages; sudo where not root)
	@scripts/deps build run test

build: $(PROGRAM) ## build/fcgi-webapp, from the libraries that pkg-config finds

$(PROGRAM): $(BUILD)/fcgi/main.o $(LIBRARY)
	$(call say,LD) $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/fcgi/main.o,$(OBJECTS))
	@rm -f $@
	$(call say,AR) ar rcs $@ $^
	@scripts/check-endpoints $@

# Asks pkg-config for the libraries. The file holds the whole command line too. It is
# written only when that changes, and then everything is compiled again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@scripts/libraries cflags $(LIBRARIES) > $(@D)/library-cflags
	@CC='$(CC)' scripts/libraries libs $(LIBRARIES) > $(@D)/library-libs
	@$(CC) --version > $@.new
	@echo '$(subst ','\'',$(CC) $(CFLAGS_OWN) $(LDFLAGS_ALL))' | \
	cat - $(@D)/library-cflags $(@D)/library-libs >> $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CFLAGS_ALL) -c -o $@ $<

# The first error of the compiler is the mistake in a table; the rest follow from it.
COMPILE_CHECK = $(CC) -std=gnu17 $(WARNINGS) -Wfatal-errors

# Fail for a line of a table that would not do what it says.
$(BUILD)/check-%: scripts/check-%.c fcgi/app/%.def
	@mkdir -p $(@D)
	@$(COMPILE_CHECK) -o $@ $< && $@

# It includes seccomp.h. $(BUILD)/flags names the package if that is not installed.
$(BUILD)/check-sandbox: | $(BUILD)/flags

# Fails for a metric that Prometheus would not accept.
$(BUILD)/check-metrics: scripts/check-metrics.c fcgi/app/metrics.def \
	fcgi/metrics/app_metrics.def fcgi/metrics/metrics.def
	@mkdir -p $(@D)
	@$(COMPILE_CHECK) -Ifcgi -o $@ $< && $@

# Fails for an option that does not work, or that the engine has.
$(BUILD)/check-options: scripts/check-options.c fcgi/base/number.c fcgi/options.def fcgi/app/options.def
	@mkdir -p $(@D)
	@$(COMPILE_CHECK) -Ifcgi -o $@ $(filter %.c,$^) && $@

CHECKS := $(patsubst scripts/%.c,$(BUILD)/%,$(wildcard scripts/check-*.c))
$(OBJECTS): $(BUILD)/flags | $(CHECKS)

$(GENERATED): $(BUILD)/%.o: $(BUILD)/%.c
	$(call say,CC) $(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/version.c: Makefile scripts/version $(SOURCES)
	@mkdir -p $(@D)
	@scripts/version $(VERSION) > $@

$(BUILD)/page.c: scripts/page $(wildcard fcgi/app/endpoints/page/page.*)
	@mkdir -p $(@D)
	@scripts/page > $@

clean: ## remove build/, counters included
	rm -rf build

-include $(OBJECTS:.o=.d)

# --- run --------------------------------------------------------------------

# In front on a terminal, give Ctrl-C to the service alone: make would fail by it. When
# make is ended, the shell between dies, and the service gets TERM. Elsewhere no shell
# stays between.
foreground = read -r _ _ _ _ own _ _ front _ </proc/$$$$/stat; \
	if [ "$$own" = "$$front" ]; then set -m; exec='setpriv --pdeathsig TERM'; else exec=exec; fi; $$exec

# Other builds than that of production, each in a folder of its own. SANDBOX_OFF: for
# sanitizers, which write files as processes exit, and for debuggers.
SANITIZED := BUILD=build/sanitized OPTIMISE='-O1 -g -U_FORTIFY_SOURCE' \
	CFLAGS='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DSANDBOX_OFF \
	$(if $(COVERAGE),--coverage)' \
	LDFLAGS='-fsanitize=address,undefined $(if $(COVERAGE),--coverage)'
DEBUGGED := BUILD=build/debug OPTIMISE='-O0 -g3 -U_FORTIFY_SOURCE' CFLAGS=-DSANDBOX_OFF

settings = HTTP_PORT='$(HTTP_PORT)' METRICS_PORT='$(METRICS_PORT)' LISTEN='$(LISTEN)' \
	WORKERS='$(WORKERS)' BLOCKING_WORKERS='$(BLOCKING_WORKERS)'

.PHONY: run debug
run: ## the service on 8081, its metrics on 8000, until Ctrl-C; SANITIZE=1: with ASan and UBSan
	@scripts/deps build run
	@$(MAKE) --no-print-directory $(if $(SANITIZE),$(SANITIZED) build,$(PROGRAM))
	@$(foreground) env $(settings) $(if $(SANITIZE),PROGRAM=build/sanitized/fcgi-webapp \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS-print_stacktrace=1}",PROGRAM='$(PROGRAM)') scripts/run

debug: ## the service for gdb: one worker of each kind, an hour a request, no sandbox
	@scripts/deps build run
	@$(MAKE) --no-print-directory $(DEBUGGED) build
	@$(foreground) env $(settings) PROGRAM=build/debug/fcgi-webapp scripts/debug

.PHONY: watch
watch: ## make run, with a new build and a reload when files change
	@scripts/deps build run
	@$(foreground) env $(settings) PROGRAM='$(PROGRAM)' scripts/watch

# --- test -------------------------------------------------------------------

.PHONY: test unit integration
test: ## everything needed, then all tests; last line: N passed, N failed
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM) $(UNIT_TESTS)
	@scripts/test unit integration monitoring manifests tooling

unit: ## the unit tests alone
	@scripts/deps build unit
	@$(MAKE) --no-print-directory $(UNIT_TESTS)
	@scripts/test unit

integration: ## the integration tests alone
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM)
	@scripts/test integration

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(CFLAGS_ALL) -Itests/unit $(LDFLAGS_ALL) -o $@ $< $(LIBRARY) \
	$(LDLIBS) $(CMOCKA)

CMOCKA = $(shell cat $(BUILD)/cmocka-libs)
$(BUILD)/cmocka-libs:
	@mkdir -p $(@D)
	@scripts/libraries libs cmocka > $@

$(UNIT_TESTS): | $(BUILD)/cmocka-libs

# What the fuzzers found once, and their seeds, are replayed by the unit tests.
$(BUILD)/tests/test_fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(CFLAGS_ALL) -DCORPUS='"tests/fuzz/corpus/$*"' \
	$(LDFLAGS_ALL) -o $@ $(filter %.c,$^) $(LIBRARY) $(LDLIBS) $(CMOCKA)

-include $(UNIT_TESTS:=.d)

# --- for those who work on it -------------------------------------------------

.PHONY: check hooks compdb
check: ## format, layers, build and unit tests, in less than a minute
	@scripts/deps build unit format
	@$(list_c) | xargs clang-format --dry-run -Werror
	@scripts/layers
	@$(MAKE) --no-print-directory $(PROGRAM) $(UNIT_TESTS)
	@scripts/test unit

hooks: ## a pre-push hook that runs make check
	@scripts/hooks

# An entry of compile_commands.json: a source, and further flags.
json = $(subst ",\",$(subst \,\\,$1))
entry = {"directory": "$(CURDIR)", "file": "$1", "command": "$(call json,$(COMPILE) $2 -c $1)"}
comma := ,

compdb: $(BUILD)/flags ## compile_commands.json, from which clangd knows the flags
	@$(eval COMPILE := $(CC) $(CFLAGS_ALL))
	@$(file >compile_commands.json,[$(call entry,fcgi/main.c))
	@$(foreach source,$(filter-out fcgi/main.c,$(SOURCES)) $(wildcard scripts/*.c tests/bench/*.c),\
	$(file >>compile_commands.json,$(comma)$(call entry,$(source))))
	@$(foreach source,$(wildcard tests/unit/*.c),\
	$(file >>compile_commands.json,$(comma)$(call entry,$(source),-Itests/unit)))
	@$(foreach source,$(wildcard tests/fuzz/*.c),\
	$(file >>compile_commands.json,$(comma)$(call entry,$(source),-DCORPUS='""')))
	@$(file >>compile_commands.json,])

# --- harder tests -----------------------------------------------------------

.PHONY: coverage sanitize fuzz chaos soak
# Each in a build of its own. SANDBOX_OFF: they write files as they exit.
coverage: ## lcov over unit and integration tests; HTML in build/coverage/
	@scripts/deps build run test
	@$(MAKE) --no-print-directory BUILD=build/instrumented OPTIMISE='-O0 -g -U_FORTIFY_SOURCE' \
	CFLAGS='--coverage -DSANDBOX_OFF' LDFLAGS=--coverage all-programs
	@find build/instrumented -name '*.gcda' -delete
	@BUILD=build/instrumented scripts/test unit integration
	@scripts/coverage build/instrumented

# COVERAGE=1 measures in the same run: .ci/run has no time for another one.
sanitize: ## unit and integration tests under ASan and UBSan, unit under valgrind
	@scripts/deps build run test sanitize
	@$(MAKE) --no-print-directory $(SANITIZED) all-programs
	@$(MAKE) --no-print-directory $(UNIT_TESTS)
	@scripts/sanitize build/sanitized $(if $(COVERAGE),--coverage)

.PHONY: all-programs
all-programs: $(PROGRAM) $(UNIT_TESTS)

fuzz: ## libFuzzer over tests/fuzz for SECONDS=60 in all
	@scripts/deps build fuzz
	@$(MAKE) --no-print-directory BUILD=build/fuzzed CC=clang OPTIMISE='-O1 -g -U_FORTIFY_SOURCE' \
	CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DSANDBOX_OFF' \
	LDFLAGS='-fsanitize=fuzzer,address,undefined' $(FUZZERS:%=build/fuzzed/fuzz_%)
	@scripts/fuzz build/fuzzed $(or $(SECONDS),60)

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(LIBRARY)
	$(call say,LD) $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIBRARY) $(LDLIBS)

.PHONY: lint format
list_c = find fcgi scripts tests -name '*.[ch]'

lint: ## every linter
	@scripts/deps build lint
	@scripts/lint

format: ## clang-format over all C
	@scripts/deps format
	@$(list_c) | xargs clang-format -i

chaos: ## faults under load for SECONDS=60; prints one JSON line
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM)
	@$(PYTHON) tests/chaos/chaos.py $(or $(SECONDS),60)

soak: ## half the load it can take for SECONDS=1800; memory, files, latency
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM)
	@$(PYTHON) tests/chaos/soak.py $(or $(SECONDS),1800)

# --- release ----------------------------------------------------------------

.PHONY: release test-release test-workflow test-kind lint-workflows
.PHONY: summary-coverage summary-bench
release: ## compute and publish a release: what CI does on main
	@scripts/release

test-release: ## the release, computed for real against a repository on this disk
	@scripts/deps build test registry
	@scripts/test release

test-workflow: ## every step of the test workflow, in order, on a clean clone
	@scripts/deps test
	@scripts/run-workflow .github/workflows/test.yml

test-kind: ## k8s/ on the kind cluster of kubectl: updates and faults under load, an alert
	@scripts/deps cluster
	@scripts/load-image
	@$(PYTEST) -rs tests/cluster

lint: lint-workflows
lint-workflows:
	@scripts/lint-workflows

# On the page of the CI job; without one, on the terminal.
summary-coverage summary-bench:
	@scripts/summary $(@:summary-%=%)

# --- image and manifests ----------------------------------------------------

.PHONY: image base-image test-image manifests lint-manifests
image: ## the container image, with docker, podman or buildah
	@VERSION=$(VERSION) scripts/image

base-image: ## the image's base, from Debian packages, where no registry is reached
	@scripts/base-image

test-image: ## the image and the pod, built and run for real
	@scripts/deps test
	@[ "$$(scripts/engine 2>/dev/null)" = docker ] || scripts/deps image
	@scripts/test image

manifests: ## k8s/: the ConfigMaps from monitoring/, the image's tag from VERSION
	@scripts/manifests

lint: lint-manifests
lint-manifests:
	@scripts/lint-manifests

# --- benchmarks -------------------------------------------------------------

.PHONY: bench bench-metrics test-bench deps-bench
bench: ## against the peers, side by side; SECONDS= ROUNDS= PARTS= RECORD=1
	@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory $(PROGRAM) $(BUILD)/bench/metrics-cost
	@scripts/bench $(SECONDS:%=--seconds=%) $(ROUNDS:%=--rounds=%) \
	$(if $(PARTS),--parts $(PARTS)) $(if $(CONNECTIONS),--connections='$(CONNECTIONS)') $(if $(RECORD),--record)

test-bench: ## the benchmark stops where a peer is not what it seems
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM)
	@scripts/test bench

bench-metrics: ## what an increment and a scrape cost
	@scripts/deps build
	@$(MAKE) --no-print-directory $(BUILD)/bench/metrics-cost
	@$(BUILD)/bench/metrics-cost

# A release may lack the last two: without them make bench skips a peer and says so.
deps-bench: ## the peers' packages
	@scripts/deps build run test bench
	@scripts/deps bench-lua || true
	@scripts/deps bench-php || true

$(BUILD)/bench/metrics-cost: tests/bench/metrics-cost.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIBRARY) $(LDLIBS)

-include $(BUILD)/bench/metrics-cost.d

# --- monitoring -------------------------------------------------------------

.PHONY: stack e2e deps-monitoring lint-monitoring
deps-monitoring: ## Prometheus, Alertmanager, the nginx exporter (Debian packages)
	@scripts/deps monitoring

stack: ## the service, Prometheus, Alertmanager, a Slack stand-in, until Ctrl-C
	@scripts/deps build run monitoring
	@$(MAKE) --no-print-directory $(PROGRAM)
	@$(foreground) scripts/stack

e2e: ## every alarm set off for real, up to the Slack message (about 10 minutes)
	@scripts/deps build run test monitoring
	@$(MAKE) --no-print-directory $(PROGRAM)
	@$(PYTEST) tests/e2e

lint: lint-monitoring
lint-monitoring:
	@scripts/lint-monitoring

# --- what people see --------------------------------------------------------

.PHONY: test-page dashboard test-dashboard test-docs install lint-dashboard
test-page: ## the status page in headless Chromium; pictures in build/screenshots/
	@scripts/deps build run test page
	@$(MAKE) --no-print-directory $(PROGRAM)
	@scripts/test page

# Not a part of `make manifests`: that needs no library, and the release runs it.
dashboard: $(BUILD)/check-routes $(BUILD)/check-metrics ## the Grafana dashboard, from monitoring/grafana/*.py and the tables
	@scripts/deps build dashboard
	@scripts/dashboard
	@$(MAKE) --no-print-directory manifests

test-dashboard: ## every query of the dashboard on a real Prometheus
	@scripts/deps build run test monitoring dashboard
	@$(MAKE) --no-print-directory $(PROGRAM)
	@scripts/test dashboard

test-docs: ## what README and docs say, held against what there is
	@scripts/deps build run test
	@$(MAKE) --no-print-directory $(PROGRAM)
	@scripts/test docs

lint: lint-dashboard
lint-dashboard:
	@scripts/dashboard --check

PREFIX ?= /usr/local
install: $(PROGRAM) ## program, nginx, manual and systemd unit; PREFIX= DESTDIR=
	@PROGRAM=$(PROGRAM) PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install
