# Targets of the house. `make` alone lists them.

GO       ?= go
BIN      ?= bin
FUZZTIME ?= 30s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help build test race check format vet staticcheck house generated fuzz proto demo bench bench-quick bench-check bench-check-control bench-peers plots clean

help: ## this list
	@echo "Usage: make TARGET"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: FUZZTIME=30s (for each fuzz target), KEEP=1 (demo: leave it running), SMALL=1 (demo: 11 nodes, a tenth of the data)"

build: ## one static binary, bin/nameplate
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.release=$(VERSION)' -o $(BIN)/nameplate ./cmd/nameplate

# The scenarios alone, with real processes, take five minutes on two processors: go test's
# ten are too few for a package where the machine is slow and busy.
test: ## all tests
	$(GO) test -timeout 30m ./...

race: ## all tests under the race detector (slow)
	$(GO) test -race -timeout 60m ./...

check: format vet staticcheck house generated ## format, vet, staticcheck, rules of the house, generated code up to date

format:
	@wrong="$$(gofmt -l .)"; \
	if [ -n "$$wrong" ]; then echo "not formatted; run gofmt -w on:"; echo "$$wrong"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

house:
	$(GO) test .

# Generates again and compares what is there before and after, so that it works
# with uncommitted work too.
generated:
	@before="$$(cat proto/*.pb.go | sha256sum)"; $(GO) generate ./proto; after="$$(cat proto/*.pb.go | sha256sum)"; \
	if [ "$$before" != "$$after" ]; then echo "proto/*.pb.go were not up to date; they are now: commit them"; exit 1; fi

fuzz: ## two million random GS1 keys, 100,000 histories of replication, the control of every scenario, then every fuzz target, each for FUZZTIME
	$(GO) test ./registry/identifier -run RandomGS1 -gs1keys 2000000 -timeout 30m
	$(GO) test ./registry/replica -run 'TestRestores$$' -restores 100000 -timeout 60m
	$(GO) test ./registry -run 'TestVerdicts$$' -verdicts 500 -timeout 30m
	$(GO) test ./cmd/nameplate/network -run TestScenariosNotice -controls -timeout 30m
	@set -e; for file in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			$(GO) test ./$$(dirname $$file) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME); \
		done; \
	done

proto: ## generate the Go code of proto/*.proto
	$(GO) generate ./proto

demo: build ## the whole system at work: 61 nodes register and resolve real identifiers, on four protocols
	@$(BIN)/nameplate demo $(if $(KEEP),--keep) $(if $(SMALL),--small)

bench: build ## all figures, one JSON object a line
	@$(BIN)/nameplate bench

bench-quick: build ## the figures that take under two minutes
	@$(BIN)/nameplate bench --quick

plots: build ## draw docs/figures/bench.jsonl, which "make bench > FILE" has printed
	@$(BIN)/nameplate bench plot docs/figures/bench.jsonl docs/figures

bench-check: build ## compare allocations, bytes and system calls with the baseline; fails when one is worse
	@$(BIN)/nameplate bench check

# Builds that are worse on purpose, each in one place: the check has to fail on every one.
bench-check-control: ## show that bench-check notices a worse build
	@cmd/nameplate/bench/control.sh "$(GO)"

# policy-rc.d keeps Debian from starting each server as it is installed. What Debian has
# too old or not at all is built into a folder of the cache, at versions of our choice.
PEERS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nameplate/peers
bench-peers: ## install what the figures are compared with (root, apt-get; CoreDNS and etcd are built)
	@set -e; policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' > $$policy; chmod 755 $$policy; trap "rm -f $$policy" EXIT; fi; \
	apt-get install --yes --no-install-recommends nsd knot bind9 pdns-server pdns-backend-lmdb etcd-server
	mkdir -p $(PEERS)
	GOBIN=$(PEERS) $(GO) install -trimpath github.com/coredns/coredns@v1.15.0
	$(GO) -C cmd/nameplate/bench/peers/etcd build -trimpath -o $(PEERS)/etcd go.etcd.io/etcd/server/v3

clean: ## remove what was built
	rm -rf $(BIN)
