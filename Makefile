# make setup   a virtual environment in .venv, with a torch that is already on the machine or torch 2.13.0
# make demo    makes a scene, reconstructs it (MINUTES=4), evaluates it and names what it wrote
# make test    runs the tests, JOBS=2 at a time
# make model   trains the model of trained_models/ anew (a few minutes)
# make clean   removes .venv and build leftovers; runs and data stay

PYTHON ?= python3
MINUTES ?= 4
JOBS ?= 2
SCENE ?= data/default
DEMO ?= exps/demo
VENV := .venv
BIN := $(VENV)/bin

export OMP_WAIT_POLICY = PASSIVE

.PHONY: setup demo test model clean

setup: $(VENV)/.ready

# Torch is looked for first and installed on its own: a CPU or CUDA build that is already there must stay as it is.
$(VENV)/.ready: pyproject.toml setup.py
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/python -c "import sys, torch; sys.exit(tuple(map(int, torch.__version__.split('.')[:2])) < (2, 10))" \
		2>/dev/null || $(BIN)/python -m pip install "torch==2.13.0"
	$(BIN)/python -m pip install --editable ".[raycast,mesh,video,viewer]"
	touch $@

$(VENV)/.ready-for-tests: $(VENV)/.ready
	$(BIN)/python -m pip install --editable ".[test]"
	touch $@

$(SCENE)/cameras.npz: | $(VENV)/.ready
	$(BIN)/nsr scene make $(SCENE)

demo: $(VENV)/.ready $(SCENE)/cameras.npz
	$(BIN)/nsr train $(SCENE) --minutes $(MINUTES) --exps_folder $(DEMO)
	$(BIN)/nsr eval $(DEMO)

test: $(VENV)/.ready-for-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rs --numprocesses $(JOBS) --dist loadfile

model: $(VENV)/.ready $(SCENE)/cameras.npz
	$(BIN)/nsr train $(SCENE) --conf confs/small.conf --steps 4000
	rm -rf trained_models/small_$(notdir $(SCENE))
	$(BIN)/nsr pack exps/small_$(notdir $(SCENE)) trained_models
	$(BIN)/nsr eval trained_models/small_$(notdir $(SCENE)) --output exps/small_$(notdir $(SCENE))/evaluation

clean:
	rm -rf $(VENV) build dist code/nsr.egg-info .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
