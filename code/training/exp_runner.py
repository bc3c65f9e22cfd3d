"""IDR's training command: python training/exp_runner.py --conf ../confs/default.conf --scan_id 65."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("nsr") is None:  # run from a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nsr.cli.main import exp_runner

if __name__ == "__main__":
    sys.exit(exp_runner())
