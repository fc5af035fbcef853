# The commands of vidworld; `make` alone lists them. Each first makes .venv where it is missing or out of date.

PYTHON ?= python3
# For instance: make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" (no CUDA libraries)
PIP_FLAGS ?=
# Real videos to add to the demo: make demo VIDEO=folder
VIDEO ?=
# The world models that are trained, each by a configuration of its name.
MODELS ?= regression diffusion jepa

SCALE := demo
RUN := $(if $(VIDEO),$(SCALE)-real,$(SCALE))
BIN := .venv/bin
INSTALL = pip install --quiet --disable-pip-version-check --no-compile $(PIP_FLAGS)
HALF := $(shell cores=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$(((cores + 1) / 2)))
# On a CPU the evaluation is shared by two processes, whose results are those of one with as many threads as each has.
ifeq ($(shell command -v nvidia-smi),)
EVALUATE := ACCELERATE_USE_CPU=true OMP_NUM_THREADS=$(HALF) $(BIN)/torchrun --standalone --nproc_per_node 2
else
EVALUATE := $(BIN)/python
endif
# The line of the terminal that a training's progress bar takes.
LINE = $$(($$(echo $(MODELS) probe | tr ' ' '\n' | grep -nx $@ | cut -d: -f1) - 1))
CONFIGS := configs/$(SCALE)
# With real videos everything goes to a folder of its own.
OUT = $(if $(VIDEO),out=runs/$(RUN)/$(1))
FROM := $(if $(VIDEO),tokenizer=runs/$(RUN)/tokenizer)
REAL := $(if $(VIDEO),data.real=runs/$(RUN)/real)
COMMA := ,
# Embeddings that a JEPA has learned are no tokens: a probe of its own decodes them.
JEPA_PROBE := $(if $(filter jepa,$(MODELS)),probes.jepa=runs/$(RUN)/probe_jepa)
TRAINED := probe=runs/$(RUN)/probe $(JEPA_PROBE) "models={$(foreach name,$(MODELS),$(name): runs/$(RUN)/$(name)$(COMMA))}" \
	compare=all $(if $(VIDEO),real=runs/$(RUN)/real)

# Nothing that make runs fetches a model.
export HF_HUB_OFFLINE := 1
# The compiler is taken to know the processor's instructions: torch would first try each kind (57 to 37 s until a model's
# twelfth step). One that does not is found out by the first kernel, and the models train without compiled blocks.
export TORCHINDUCTOR_VEC_ISA_OK := 1
# What a process imports is compiled once, also where the shell, as in many containers, forbids to keep it: a process
# began after 18 to 22 s, now after 8.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo demo-short play plan plan-tables sure hidden study $(MODELS) probe few-step calibrate bench test test-thorough test-statistics test-cluster test-long test-kills test-chaos test-slurm bench-scaling check check-gpu docs clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One process needs no `accelerate launch`, which takes seconds to start; the scripts are the same under it.
demo: .venv/installed ## train and compare the world models, with a report (VIDEO=folder adds real videos)
	$(if $(VIDEO),$(BIN)/vidworld data ingest "$(VIDEO)" --out runs/$(RUN)/real --no-actions)
	$(BIN)/python train/train_tokenizer.py --config $(CONFIGS)/tokenizer.yaml $(call OUT,tokenizer) $(REAL)
	@$(MAKE) --no-print-directory -j SCALE=$(SCALE) $(MODELS) probe
	$(if $(JEPA_PROBE),$(BIN)/python train/train_probe.py --config $(CONFIGS)/probe.yaml out=runs/$(RUN)/probe_jepa \
		jepa=runs/$(RUN)/jepa $(FROM))
	$(EVALUATE) eval/run_physics.py --config $(CONFIGS)/physics.yaml $(call OUT,physics) $(FROM) $(TRAINED)
	$(BIN)/python eval/make_report.py runs/$(RUN)

# All at once, each on half of the cores: networks as small as these gain nothing from a second core, and the probe,
# the shortest, would be left alone with one core if it came last.
TRAIN = OMP_NUM_THREADS=$(HALF) TQDM_POSITION=$(LINE) $(BIN)/python train/train_$(1).py \
	--config $(CONFIGS)/$@.yaml $(call OUT,$@) $(FROM)

$(MODELS): .venv/installed
	$(call TRAIN,world_model) $(REAL)

probe: .venv/installed
	$(call TRAIN,probe)

demo-short: ## the same path in a few minutes, too short to learn much
	@$(MAKE) --no-print-directory demo SCALE=short

play: .venv/installed ## act in a world beside the small models that come with the repository, in a page on this machine
	$(BIN)/vidworld play release

plan: .venv/installed ## train the world models on clips in which somebody acts, and plan with them (needs no demo)
	$(BIN)/python train/train_tokenizer.py --config configs/plan/tokenizer.yaml
	@$(MAKE) --no-print-directory -j SCALE=plan VIDEO= $(MODELS) probe
	$(if $(JEPA_PROBE),$(BIN)/python train/train_probe.py --config configs/plan/probe.yaml out=runs/plan/probe_jepa jepa=runs/plan/jepa)
	$(BIN)/python train/train_head.py --config configs/plan/cloned.yaml
	$(BIN)/python train/train_head.py --config configs/plan/reward.yaml
	$(if $(JEPA_PROBE),$(BIN)/python train/train_head.py --config configs/plan/reward.yaml out=runs/plan/reward_jepa jepa=runs/plan/jepa)
	$(EVALUATE) eval/run_planning.py --config configs/plan/planning.yaml cloned=runs/plan/cloned reward=runs/plan/reward \
		$(if $(JEPA_PROBE),rewards.jepa=runs/plan/reward_jepa) protocols=[configs/protocols/quick.yaml,configs/protocols/return.yaml]
	$(BIN)/python eval/make_planning.py runs/plan/planning

# On the release's weights; what is done is not run again.
PLANNED = $(EVALUATE) eval/run_planning.py --config configs/plan/planning.yaml
plan-tables: .venv/tools ## the tables of docs/planning.md again, most by the models in release/, of 200 episodes and more (hours)
	$(PLANNED) out=runs/tables/controls protocols=[configs/protocols/default.yaml] goal_blind=[] models={} probes={} \
		environments=[two_room,puck,hidden_goal,heavy_or_light,push_t] tokenizer=null probe=null checks=0 shown=0
	R=$$($(BIN)/python -c 'from vidworld.models.pretrained import from_pretrained as f; print(f("release"))') && \
	T="tokenizer=$$R/tokenizer" && P="$$T probe=$$R/probe probes.jepa=$$R/probe_jepa checks=0 shown=0 goal_blind=[]" && \
	ALL="models={regression: $$R/regression, diffusion: $$R/diffusion, jepa: $$R/jepa}" && \
	SIXTEEN=protocols=[configs/protocols/sixteen.yaml] && \
	$(BIN)/python train/train_world_model.py --config configs/plan/jepa.yaml steps=1720 $$T out=runs/tables/jepa && \
	$(BIN)/python train/train_probe.py --config configs/plan/probe.yaml $$T jepa=runs/tables/jepa out=runs/tables/probe_jepa && \
	$(PLANNED) out=runs/tables/jepa_1720_steps $$SIXTEEN $$T probe=$$R/probe probes.jepa=runs/tables/probe_jepa \
		"models={jepa: runs/tables/jepa}" controls=[simulator,random,no_op,copy_last,untrained] && \
	$(PLANNED) out=runs/tables/release $$SIXTEEN $$P "$$ALL" environments=[two_room,hidden_goal] controls=[] && \
	$(PLANNED) out=runs/tables/remembered protocols=[configs/protocols/remembered.yaml] environments=[hidden_goal] \
		$$P "$$ALL" controls=[] && \
	$(PLANNED) out=runs/tables/budgets --budgets 4,8,16,32,64 environments=[two_room] $$P "$$ALL" controls=[simulator] && \
	$(PLANNED) out=runs/tables/planners --planners random_shooting,cem,mppi,gradient environments=[two_room] $$SIXTEEN \
		$$P "models={regression: $$R/regression}" controls=[simulator]
	@for each in controls jepa_1720_steps release remembered budgets planners; do \
		$(BIN)/python eval/make_planning.py runs/tables/$$each || exit 1; done

# Members of a family are seeds; what is done is not run again.
sure: .venv/installed ## families that say how sure they are, where something is left to chance: train, measure, make the page
	$(BIN)/python train/train_tokenizer.py --config configs/sure/tokenizer.yaml
	$(BIN)/python train/train_probe.py --config configs/sure/probe.yaml
	@for seed in 0 1; do \
		for name in diffusion regression jepa; do \
			$(BIN)/python train/train_world_model.py --config configs/sure/$$name.yaml seed=$$seed out=runs/sure/$$name$$seed || exit 1; \
		done; \
		$(BIN)/python train/train_probe.py --config configs/sure/probe.yaml jepa=runs/sure/jepa$$seed out=runs/sure/probe_jepa$$seed || exit 1; \
	done
	$(BIN)/python eval/run_uncertainty.py --config configs/sure/uncertainty.yaml

hidden: .venv/installed ## train the world models on discs of hidden mass and restitution; what they know of these (needs no demo)
	$(BIN)/python train/train_tokenizer.py --config configs/hidden/tokenizer.yaml
	@$(MAKE) --no-print-directory -j SCALE=hidden VIDEO= $(MODELS) probe
	$(if $(JEPA_PROBE),$(BIN)/python train/train_probe.py --config configs/hidden/probe.yaml out=runs/hidden/probe_jepa jepa=runs/hidden/jepa)
	$(EVALUATE) eval/run_hidden.py --config configs/hidden/hidden.yaml

# Two runs at a time, each on half of the cores; what is done is not run again.
study: .venv/installed ## run what is missing of the study over training compute, seeds and nuisance, and make its page (hours)
	@for share in 0 1; do OMP_NUM_THREADS=$(HALF) $(BIN)/python eval/run_study.py --share $$share/2 & all="$$all $$!"; done; \
	for each in $$all; do wait $$each || failed=1; done; exit $${failed:-0}
	$(BIN)/python eval/make_study.py

few-step: .venv/installed ## after demo: train its diffusion model to sample in 1, 2 or 4 steps; what they cost goes to the report
	$(BIN)/python train/train_few_step.py --config $(CONFIGS)/few_step.yaml
	$(BIN)/python eval/run_steps.py runs/$(SCALE)
	$(BIN)/python eval/make_report.py runs/$(SCALE)

calibrate: .venv/installed ## what the metrics can see: injected errors of known size, baselines (no trained model; minutes)
	$(BIN)/python eval/calibrate.py

bench: .venv/tools ## measure speed and memory beside peers and the machine's limits (no trained model; minutes)
	$(BIN)/python eval/run_bench.py

test: .venv/tools ## run the tests
	$(BIN)/pytest

test-thorough: .venv/tools ## whole scripts, and sweeps over all scenarios, networks and environments (as in CI; minutes)
	$(BIN)/pytest -m "thorough and not slow" $$(grep -rl --include='test_*.py' mark.thorough tests)

test-statistics: .venv/tools ## 2,000 simulated studies of each kind of scatter: do intervals cover, do tests keep their level (minutes)
	$(BIN)/pytest -m slow tests/analysis

test-long: .venv/tools ## trainings and checks that take longer than a test should (minutes)
	$(BIN)/pytest -m slow tests --ignore tests/cluster --ignore tests/analysis \
		tests/test_documentation.py

test-kills: .venv/tools ## five kills of a training, and what two processes lose (as in CI; minutes)
	$(BIN)/pytest -m slow --dist load tests/cluster -k "again_and_again and not 25 or lose and accumulated"

test-chaos: .venv/tools ## kill a run at 25 different moments: it must come to the same weights (minutes)
	$(BIN)/pytest -m slow -n 0 tests/cluster/test_chaos.py -k 25

test-cluster: .venv/tools ## runs on several processes that are stopped, killed, sharded, or hang (five kills; minutes)
	$(BIN)/pytest -m slow tests/cluster -k "not 25" --ignore tests/cluster/test_slurm.py

test-slurm: .venv/tools ## the jobs of slurm/ on a real Slurm of two nodes that is started for it (root, Debian; minutes)
	$(BIN)/pytest -m slow -n 0 -rs tests/cluster/test_slurm.py

bench-scaling: .venv/installed ## clips a second of one process and of two
	$(BIN)/python eval/bench_scaling.py

check: .venv/tools ## format, lint, types, direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-gpu: .venv/tools ## verify on a GPU what only a GPU shows: precisions, compiling, FSDP2, speed (minutes)
	$(BIN)/python eval/check_gpu.py

docs: .venv/docs ## build the site into site/, with every link checked; site/index.html opens from disk
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## remove the environment and the caches (runs/ stays)
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is the last thing written: an installation that failed is done again. Python compiles the few modules
# that it imports by itself: compiling all 17,000 was half of the installation.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vidworld needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/$(INSTALL) --editable ".[play]"
	@touch $@

# The demo does not wait for what only tests, checks and the bench's peers need.
.venv/tools: .venv/installed
	$(BIN)/$(INSTALL) --editable ".[test,dev]"
	@touch $@

.venv/docs: .venv/installed
	$(BIN)/$(INSTALL) --editable ".[docs]"
	@touch $@
