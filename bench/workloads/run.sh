#!/bin/bash
# Times one workload in the guest: run.sh WORKLOAD RUNS SIZE [RECORDER...]; prints a line "seconds S" for each run.
# RECORDER is put in front of the workload's command ("strace -f -o /dev/shm/out", ...).
here=$(dirname -- "$0")
workload=$1 runs=$2 size=$3
shift 3
case $workload in
    flood) set -- "$@" dd if=/dev/zero of=/dev/null bs=1 "count=$size" ;;
    compile) set -- "$@" make -s -B -C "$here/project" ;;
    find) set -- "$@" find / -xdev -newermt 1999-01-01 -fprint /dev/null ;;
    forks) set -- "$@" /bin/sh "$here/forks.sh" "$size" ;;
    network) set -- "$@" python3 "$here/network.py" "$size" ;;
    *) exit 2 ;;
esac
for ((i = 0; i < runs; i++)); do
    begin=$EPOCHREALTIME
    "$@" >/dev/null 2>"$here/errors" || { tail -n 3 "$here/errors"; exit 1; }
    end=$EPOCHREALTIME
    echo "seconds $(((${end/./} - ${begin/./}) / 1000000)).$(printf %06d $(((${end/./} - ${begin/./}) % 1000000)))"
done
