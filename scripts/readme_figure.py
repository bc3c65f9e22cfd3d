"""Draw the README's picture from an evaluated run: photograph, render, surface and normals of some views.

    python scripts/readme_figure.py trained_models/small_default data/default docs/images/default.png 4 12
"""

from __future__ import annotations

import sys
from pathlib import Path

from nsr.evaluation.figures import result_figure
from nsr.scenes.idr_folder import load_scene
from nsr.training.run import load_run
from nsr.training.run_folder import find_run

if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    views = [int(view) for view in sys.argv[4:]]
    result_figure(sys.argv[3], load_run(find_run(Path(sys.argv[1]))), load_scene(sys.argv[2]), views)
