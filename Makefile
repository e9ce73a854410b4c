# What people and CI run. Everything that is compiled goes to $CHAOS_CACHE (~/.cache/chaos-runbook).
SHELL := /bin/bash

.PHONY: help build install uninstall dist image demo demo-down test quick sweep disturb watched versions lint bench truth fuzz look schemas

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## the six tools, as they are handed out
	@scripts/build.sh

install: ## put tools, man pages, completions, scripts and docs in place (PREFIX=/usr/local, DESTDIR=, PROGRAMS=folder)
	@scripts/install.sh

uninstall: ## take away what make install put in place (PREFIX=/usr/local)
	@scripts/install.sh uninstall

dist: ## a tarball, a Debian package, a bill of materials and checksums, in dist/
	@scripts/dist.sh

image: ## an image for Kubernetes, in dist/, without Docker (IMAGE=name:tag)
	@scripts/image.sh

demo: ## the whole runbook on a real cluster (CONTEXT=name for one of your own)
	@scripts/demo.sh up

demo-down: ## take the demo away
	@scripts/demo.sh down

test: ## prove everything: lints, unit, tool and pipeline tests, and the real cluster
	@scripts/test.sh

quick: ## before a commit: formatting, clippy, and the tests that need neither root nor a cluster
	@scripts/test.sh quick

sweep: ## kill chaos-inject at each of its API calls (KILLS=600, MINUTES=25)
	@scripts/sweep.sh

disturb: ## cut, restart and take away what chaos-inject watches by (TIMES=100, MINUTES=120)
	@scripts/sweep.sh disturb

watched: ## kill tool and guardian together, with a watcher in the cluster (TIMES=200, MINUTES=90)
	@scripts/sweep.sh watched

versions: ## the API servers of other Kubernetes versions (VERSIONS="1.32 1.33 1.35")
	@scripts/versions.sh

lint: ## formatting, clippy, licences, shell scripts
	@scripts/lint.sh

bench: ## speed and memory against the runbook's own commands
	@scripts/bench.sh

truth: ## damaged backups by the thousand: who sees it
	@scripts/truth.sh

fuzz: ## throw anything at the parsers of backups (MINUTES=60)
	@scripts/fuzz.sh

look: ## reports in a real browser and a real Markdown renderer
	@scripts/setup.sh --look && . scripts/lib.sh && \
	  cargo test -p chaos-report --test report -- --ignored --test-threads=2

schemas: ## write the JSON Schemas of the records anew
	@. scripts/lib.sh && UPDATE_SCHEMAS=1 cargo test -q -p chaos-common --test schemas
