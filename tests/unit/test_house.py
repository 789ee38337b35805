"""The house keeps its own rules: each file has its test, nothing of one machine stands in it."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import malkoha

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(malkoha.__file__).parent

TESTED_TOGETHER = {
    "analysis.py": "live/test_samples.py",
    "arming.py": "live/test_samples.py",
    "cli/__init__.py": "unit/cli/test_app.py",
    "cli/__main__.py": "unit/cli/test_app.py",
    "backup.py": "unit/cli/test_backup.py",
    "cli/restore.py": "unit/cli/test_backup.py",
    "cli/reference.py": "unit/test_guides.py",
    "web/reference.py": "unit/test_guides.py",
    "cli/init.py": "unit/cli/test_app.py",
    "cli/bars.py": "unit/cli/test_terminal.py",
    "cli/checks.py": "unit/cli/test_doctor.py",
    "cli/finding.py": "unit/cli/test_reading.py",
    "cli/report.py": "unit/cli/test_reading.py",
    "cli/process.py": "unit/cli/test_reading.py",
    "cli/export.py": "unit/cli/test_reading.py",
    "cli/trace.py": "unit/cli/test_reading.py",
    "cli/machine.py": "unit/cli/test_image.py",
    "cli/options.py": "unit/cli/test_analyze.py",
    "cli/performing.py": "unit/cli/test_analyze.py",
    "cli/run.py": "unit/cli/test_queue.py",
    "cli/submit.py": "unit/cli/test_queue.py",
    "cli/tasks.py": "unit/cli/test_queue.py",
    "cli/serve.py": "contracts/test_sandboxapi.py",
    "urls/__init__.py": "unit/urls/test_urls.py",
    "notifying/__init__.py": "unit/notifying/test_notifying.py",
    "reporting/exports.py": "unit/cli/test_reading.py",
    "web/access.py": "unit/web/test_session.py",
    "web/acting.py": "unit/web/v1/test_tasks.py",
    "web/asking.py": "unit/web/test_submitting.py",
    "web/packing.py": "unit/web/test_api.py",
    "web/pages/frame.py": "unit/web/pages/test_analysis.py",
    "web/service.py": "unit/web/test_api.py",
    "web/v1/models.py": "unit/web/v1/test_tasks.py",
    "web/shapes.py": "unit/web/test_api.py",
    "migrations/env.py": "unit/test_tasks.py",
    "migrations/versions/r0001_tasks.py": "unit/test_tasks.py",
    "migrations/versions/r0002_service.py": "unit/test_tasks.py",
    "migrations/versions/r0003_catalogue.py": "unit/test_tasks.py",
    "migrations/versions/r0004_queue.py": "unit/test_tasks.py",
    "jobs.py": "contracts/test_queue.py",
    "migrations/versions/r0005_nodes.py": "unit/test_tasks.py",
    "queue/procrastinate.py": "contracts/test_queue.py",
    "queue/__init__.py": "contracts/test_queue.py",
    "queue/base.py": "contracts/test_queue.py",
    "queue/leases.py": "contracts/test_queue.py",
}
"""Files whose test bears another name, as they make sense together only."""


def sources() -> list[Path]:
    """Return the files that do something: one without a function declares only, and is tested by its users."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if any(isinstance(node, functions) for node in ast.walk(ast.parse(path.read_text())))
    )


def wanted_tests(name: str) -> list[str]:
    if name in TESTED_TOGETHER:
        return [TESTED_TOGETHER[name]]
    path = Path(name)
    stem = path.parent.name if path.stem == "__init__" else path.stem
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    own = [f"{kind}/{folder}/test_{stem}.py".replace("/./", "/") for kind in ("unit", "contracts", "live")]
    if path.parent.name == "signatures":
        own.append(f"signatures/{stem}.toml")
    # small files of one kind may be tested together: inguest/packages/elf.py by inguest/test_packages.py
    return [*own, f"unit/{folder}.py".replace(folder.name, f"test_{folder.name}")]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_source_file_has_its_test(path: Path) -> None:
    wanted = wanted_tests(str(path.relative_to(PACKAGE)))
    assert any((REPOSITORY / "tests" / name).is_file() for name in wanted), f"none of {wanted}"


def test_the_exceptions_are_still_there() -> None:
    assert [name for name in TESTED_TOGETHER if not (PACKAGE / name).exists()] == []


def tracked() -> list[Path]:
    done = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, text=True, check=False)
    names = [name for name in done.stdout.split("\0") if name]
    return [path for path in (REPOSITORY / name for name in names) if path.is_file()]


def test_locks_are_complete_and_name_no_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (REPOSITORY / name).read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text
        pins = re.findall(r"^([a-z0-9._-]+)==\S+ ?(?:;[^\\]*)?\\$", text, re.MULTILINE)
        lines = [line for line in text.splitlines() if line and line[0] not in " #"]
        assert len(pins) == len(lines) > 20
        for block in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in block


def test_locks_agree_and_cover_what_is_declared() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (REPOSITORY / name).read_text(), re.MULTILINE))

    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert run.items() <= dev.items()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = [re.split(r"[\[>=<]", item)[0] for item in project["dependencies"]]
    assert set(declared) <= set(run)
    assert {re.split(r"[\[>=<]", item)[0] for item in project["optional-dependencies"]["dev"]} <= set(dev)


def test_nothing_of_one_machine_is_named() -> None:
    address = re.compile(r"(?:[a-z]+\.)?(?:debian|pythonhosted|pypi)\.(?:org|net)\b", re.IGNORECASE)
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.name}: {match.group()}" for match in address.finditer(text)]
        if str(REPOSITORY.parent) not in ("/", "/tmp", "/root", "/home") and f"{REPOSITORY}/" in text:
            found.append(f"{path.name}: {REPOSITORY}")
    assert found == []


def test_kernel_code_says_its_licence() -> None:
    kernel_code = [path for path in (PACKAGE / "engine").rglob("*") if path.suffix in (".stp", ".c", ".h")]
    assert kernel_code
    for path in kernel_code:
        assert "SPDX-License-Identifier: GPL-2.0-or-later" in "".join(path.read_text().splitlines()[:3]), path.name
    assert "GPL-2.0-or-later" in (REPOSITORY / "LICENSES.md").read_text()
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text()


def test_files_that_git_keeps_executable() -> None:
    for name in (".ci/run", "scripts/setup.sh"):
        assert (REPOSITORY / name).stat().st_mode & 0o111, name
