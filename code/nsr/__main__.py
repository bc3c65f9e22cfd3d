"""``python -m nsr``: the command, where its script is not on the path."""

import sys

from nsr.cli.main import main

sys.exit(main())
