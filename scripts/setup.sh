#!/bin/sh
# Sets up what a checkout needs: Debian packages by apt-get, then a virtual environment with the locked versions.
# Usage: setup.sh run|dev. Works without a terminal; two at once wait for each other; interrupted, it leaves nothing half-made.
set -u
group=${1:-run}
case $group in run | dev) ;; *) echo "usage: setup.sh run|dev" >&2; exit 2 ;; esac
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd) || exit 3
. "$here/scripts/ready.sh"

say() { printf 'malkoha: %s\n' "$*" >&2; }
fail() { say "$*"; exit 3; }

# Packages that a user chose not to install, or that could not be, are doctor's and the command's business: only what
# stops the environment itself stops the set-up.
install_packages() {
    [ "${MALKOHA_NO_INSTALL:-}" = 1 ] && return 1
    if ! command -v apt-get >/dev/null 2>&1; then
        say "there is no apt-get here; please install yourself:$*"
        return 1
    fi
    as_root=''
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            say "not root and no sudo; please run as root: apt-get install$*"
            return 1
        fi
        as_root='sudo'
        [ -t 0 ] || as_root='sudo -n'
    fi
    say "installing Debian packages${as_root:+ (with sudo)}:$*"
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    # Lists may be absent (a fresh container) or too old: then, and only then, they are fetched.
    # shellcheck disable=SC2086
    if ! $apt install -y --no-install-recommends $* >"$log" 2>&1 9>&-; then
        say "fetching the lists of packages"
        $apt update >>"$log" 2>&1 9>&- || say "apt-get update failed: $(tail -n 1 "$log")"
        if ! $apt install -y --no-install-recommends $* >>"$log" 2>&1 9>&-; then
            say "apt-get could not install$*: $(grep -E '^E:|sudo:' "$log" | head -n 1)"
            return 1
        fi
    fi
}

# An interpreter of the distribution first: one of a version manager may go away with the user's next choice.
find_python() {
    python=''
    for candidate in "${MALKOHA_PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        found=$("$candidate" -I -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null) || continue
        [ -n "$found" ] || continue
        if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
            # the versioned file, so that the environment is seen to be stale after an upgrade of the system's python
            python=$("$candidate" -I -c 'import os, sys; print(os.path.realpath(sys.executable))')
            return 0
        fi
    done
    return 1
}

make_environment() {
    lock=requirements.lock
    [ "$group" = dev ] && lock=requirements-dev.lock
    target=$here/.venv-$group-$$
    say "making the virtual environment with $("$python" -I -c 'import sys; print("Python", sys.version.split()[0])')"
    "$python" -I -m venv "$target" >"$log" 2>&1 9>&- || fail "could not make the virtual environment: $(tail -n 1 "$log")"
    say "installing $(grep -c '^[a-z]' "$here/$lock") locked Python packages (about 200 MB; a minute)"
    pip="$target/bin/python"
    set -- -I -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r "$here/$lock"
    if [ -t 2 ]; then
        "$pip" "$@" 1>&2 9>&-
    else
        "$pip" "$@" >"$log" 2>&1 9>&-
    fi || { tail -n 5 "$log" >&2; fail "pip could not install the locked packages (see the lines above)"; }
    malkoha_find_list "$here"
    "$target/bin/python" -I - "${malkoha_list%/malkoha/*}" "$target" <<'PY' || fail "could not finish the virtual environment"
import pathlib, stat, sys, sysconfig

sources, target = sys.argv[1:]
pathlib.Path(sysconfig.get_path("purelib"), "malkoha-checkout.pth").write_text(sources + "\n")
script = pathlib.Path(target, "bin", "malkoha")
# through sh, as the path of the interpreter may be too long for a #! line, or hold spaces
quotes = "'" * 3
script.write_text(
    f'#!/bin/sh\n{quotes}exec\' "{target}/bin/python" -I "$0" "$@"\n\' {quotes}\n'
    "import sys\nfrom malkoha.cli import main\nsys.exit(main())\n"
)
script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
PY
    {
        malkoha_make_key "$here" run
        printf '%s\n' "$malkoha_key"
        [ "$group" = dev ] && malkoha_make_key "$here" dev && printf '%s\n' "$malkoha_key"
    } >"$target/malkoha-stamp"
    # .venv is a link, so that the switch is one rename; what ran from the last environment may go on with it.
    last=$(readlink "$here/.venv" 2>/dev/null) || last=''
    [ -d "$here/.venv" ] && [ ! -L "$here/.venv" ] && rm -rf "$here/.venv"
    ln -s "${target##*/}" "$here/.venv.new-$$" && mv -T "$here/.venv.new-$$" "$here/.venv" ||
        fail "could not put the virtual environment in place"
    made=$target
    target=''
    for old in "$here"/.venv-run-* "$here"/.venv-dev-*; do
        [ "$old" = "$made" ] || [ "$old" = "$here/$last" ] || rm -rf "$old"
    done
}

target=''
log=$(mktemp) || exit 3
clean_up() {
    rm -f "$log" "$here/.venv.new-$$"
    [ -z "$target" ] || rm -rf "$target"
}
trap clean_up EXIT
trap 'say "interrupted; nothing half-made was left"; exit 130' INT
trap 'exit 143' TERM HUP

{ exec 9>"$here/.venv.lock"; } 2>/dev/null || fail "cannot write in $here (run from a checkout of your own)"
if ! flock -n 9; then
    say "waiting for another set-up of this checkout"
    flock 9
fi

malkoha_find_list "$here"
malkoha_find_missing "$malkoha_list" "$group"
find_python || malkoha_missing=" python3 python3-venv$malkoha_missing"
[ -z "$malkoha_missing" ] || install_packages "$malkoha_missing"
if ! malkoha_env_ready "$here" "$group"; then
    find_python || fail "no usable Python 3.11 or newer with venv (install python3-venv, or name one: MALKOHA_PYTHON=...)"
    # an environment for developers serves both groups: never replace it by a smaller one
    [ "$group" = run ] && [ -x "$here/.venv/bin/pytest" ] && group=dev
    make_environment
fi
exit 0
