#!/bin/sh
# Runs a command under bpftrace, which wants it as one word.
here=$(dirname -- "$0")
exec bpftrace -q -o /dev/shm/bpftrace "$here/calls.bt" -c "$*"
