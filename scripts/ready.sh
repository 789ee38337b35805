# Sourced by the launcher and by setup.sh: tells whether everything is there, with builtins and one sha256sum.

# The names of Debian packages of the group $2 ("run", or "dev" for both groups) that are missing, in $malkoha_missing.
malkoha_find_missing() {
    malkoha_missing=''
    while read -r malkoha_group malkoha_package malkoha_test malkoha_rest; do
        case $malkoha_group in
            run) ;;
            dev) [ "$2" = dev ] || continue ;;
            *) continue ;;
        esac
        case $malkoha_test in
            cmd:*) command -v "${malkoha_test#cmd:}" >/dev/null 2>&1 && continue
                [ -x "/usr/sbin/${malkoha_test#cmd:}" ] && continue
                [ -x "/sbin/${malkoha_test#cmd:}" ] && continue ;;
            file:*) for malkoha_file in ${malkoha_test#file:}; do
                    [ -e "$malkoha_file" ] && continue 2
                done ;;
            # setup.sh looks at these itself, once: asking an interpreter costs too much for every start
            python:*) continue ;;
        esac
        malkoha_missing="$malkoha_missing $malkoha_package"
    done <"$1"
}

# Where the list of system packages is, in $malkoha_list.
malkoha_find_list() {
    malkoha_list=$1/src/malkoha/system-packages.txt
}

# The key of an environment for group $2, in $malkoha_key: it changes with the locked versions and when the sources move.
malkoha_make_key() {
    malkoha_find_list "$1"
    case $2 in
        dev) malkoha_key=$(sha256sum <"$1/requirements-dev.lock") ;;
        *) malkoha_key=$(sha256sum <"$1/requirements.lock") ;;
    esac
    malkoha_key="$2 ${malkoha_key%% *} ${malkoha_list%/malkoha/*}"
}

# Whether the environment under the checkout $1 serves group $2 (one made for "dev" serves "run" as well).
malkoha_env_ready() {
    [ -x "$1/.venv/bin/python" ] && [ -r "$1/.venv/malkoha-stamp" ] || return 1
    malkoha_make_key "$1" "$2"
    while read -r malkoha_line; do
        [ "$malkoha_line" = "$malkoha_key" ] && return 0
    done <"$1/.venv/malkoha-stamp"
    return 1
}

malkoha_ready() {
    malkoha_env_ready "$1" "$2" || return 1
    [ "${MALKOHA_NO_INSTALL:-}" = 1 ] && return 0
    malkoha_find_missing "$malkoha_list" "$2"
    [ -z "$malkoha_missing" ]
}
