# The front door. Each target sets up what it needs, can be run twice, and says what it is doing; the work is in hack/ and e2e/cluster/.
#   KEEP=1           demo, test, e2e: leave the cluster up
#   E2E_CONTEXT=name demo, test, e2e, cluster: use this context of your kubeconfig instead of a kind cluster
#   ARGS=...         demo, e2e, bench, fuzz: passed on
export KEEP E2E_CONTEXT E2E_REGISTRY NODE_IMAGE
export E2E_ARGS ?= $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test unit simulation soak contracts fuzz attack-table kms lint generate charts e2e chaos setup cluster images bench clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: ## six clients train Fashion-MNIST together on a kind cluster and a test chain (minutes; the first time up to half an hour)
	@hack/on-cluster.sh demo $(ARGS)

test: ## every check: contracts, generated files, lint, unit tests, charts, scenarios on kind
	@hack/test.sh

contracts: ## Forge tests, gas, static analysis
	@hack/test.sh contracts

fuzz: ## a million random calls to the contracts, invariants checked after each (ARGS='--fuzz-seed 0x1234' for other ones)
	@hack/fuzz.sh $(ARGS)

attack-table: ## what cheating earns: plays every attack on the real contract and writes the tables of docs/attacks.md
	@contracts/attacks.sh $(ARGS)

lint: ## formatting, clippy, shell scripts
	@hack/test.sh lint

unit: ## cargo tests of everything but the scenarios
	@hack/test.sh unit

kms: ## signing with keys in AWS KMS (the feature aws-kms), against a stand-in for the service
	@hack/test.sh kms

simulation: ## 10,000 seeds of the controller in a simulated world, and planted bugs that it must find
	@hack/test.sh simulation

soak: ## a million seeds (hours; interrupted, it goes on where it was)
	@hack/soak.sh

charts: ## helm lint and template
	@hack/test.sh charts

e2e: ## scenarios on a kind cluster (ARGS=name runs those whose name contains it)
	@hack/test.sh e2e

chaos: ## kill, freeze, cut off and fill up what the operator stands on, on a kind cluster (ARGS=name: those whose name contains it)
	@hack/test.sh chaos

generate: ## write the committed ABI and CRD files anew
	@hack/setup.sh && hack/generate.sh

setup: ## fetch tools, libtorch and data set into .build
	@hack/setup.sh

cluster: ## bring the test cluster up (then use it: e2e/cluster/env prints how)
	@hack/setup.sh && e2e/cluster/up

images: ## build the images and load them into the test cluster
	@hack/setup.sh && e2e/cluster/up && hack/images.sh --load

bench: ## measurements: aggregation beside the read bandwidth, a round beside two bare Jobs (ARGS=aggregation or round: one of them; ARGS=training: beside Python; ARGS=big: a model of 2 GB in little memory)
	@hack/bench.sh $(ARGS)

clean: ## remove the cluster and everything that was built or fetched
	@hack/clean.sh
