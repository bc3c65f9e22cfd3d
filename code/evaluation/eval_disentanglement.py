"""IDR's command to swap appearances: python evaluation/eval_disentanglement.py --geometry_id 65 --appearance_id 110."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("nsr") is None:  # run from a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nsr.cli.main import disentanglement_script

if __name__ == "__main__":
    sys.exit(disentanglement_script())
