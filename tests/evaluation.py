"""Find the evaluation material, which is no part of the repository: in MALKOHA_EVAL, or in ../shared/eval."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MALKOHA_EVAL") or Path(__file__).parents[2] / "shared" / "eval")
STAP = FOLDER / "stap"
needs_stap = pytest.mark.skipif(not STAP.is_dir(), reason="the logs of Cuckoo's own tests are not here")
