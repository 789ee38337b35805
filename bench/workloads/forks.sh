#!/bin/sh
# A shell loop whose every turn makes a process and runs a program.
i=0
while [ "$i" -lt "$1" ]; do
    /bin/true "$i"
    i=$((i + 1))
done
