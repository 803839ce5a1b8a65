"""The command line as a module: ``python -m qmosaic.cli``."""

from __future__ import annotations

from qmosaic.cli.program import main

if __name__ == "__main__":
    main(prog_name="qmosaic")
