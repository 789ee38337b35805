import re
import subprocess

import pytest

from malkoha.machinery import bootstrap, recipe


def test_all_packages_have_possible_names() -> None:
    bootstrap.check_packages([*recipe.GUEST_PACKAGES, *recipe.BUILD_PACKAGES])


def test_nothing_in_the_guest_tells_of_the_sandbox() -> None:
    texts = [text for _, text in [*recipe.FILES.values(), *recipe.HOME_FILES.values()]]
    everything = "\n".join([*texts, *recipe.FILES, *recipe.HOME_FILES, *recipe.GUEST_PACKAGES, recipe.SETUP]).lower()
    assert not re.search(r"malkoha|sandbox|systemtap|\bstap|strace|cuckoo|malware|analys", everything)


@pytest.mark.parametrize("script", [recipe.SETUP, recipe.BUILD_SETUP])
def test_scripts_are_valid_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert checked.stderr == ""
    assert "\nset -e\n" in script


def test_names_are_looked_up_at_an_address_of_the_guest_itself() -> None:
    assert recipe.FILES["/etc/resolv.conf"][1].startswith("nameserver 127.")


def test_home_files_stay_below_the_home() -> None:
    assert not any(path.startswith("/") or ".." in path for path in recipe.HOME_FILES)
    assert all(path.startswith("/") for path in recipe.FILES)
