"""``python -m malkoha.cli``: what the launcher starts."""

from __future__ import annotations

import sys

from malkoha.cli import main

if __name__ == "__main__":
    sys.exit(main())
