"""`python -m mailplane_tui` is `mailplane`."""

from __future__ import annotations

import sys

from mailplane_tui.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
