"""Fuzz one target, led by coverage: ``python -m tests.fuzz TARGET [--seconds N]``; an input that fails is kept.

New inputs are gathered in .fuzz/TARGET, beside the seeds of tests/data. A failing one goes to tests/data/fuzz/TARGET
first and is mended then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
SEEDS = {"records": ("records", "fuzz/records"), "log": ("traces", "fuzz/log")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(SEEDS))
    parser.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["malkoha.trace"]):
        from tests.fuzz.targets import TARGETS
    corpus = Path(".fuzz") / chosen.target
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [str(DATA / seed) for seed in SEEDS[chosen.target] if (DATA / seed).is_dir()]
    options = [f"-max_total_time={chosen.seconds}", f"-artifact_prefix={corpus}/", "-max_len=8192", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, str(corpus), *folders], TARGETS[chosen.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
