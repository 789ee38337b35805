#!/bin/bash
echo "hello world!"
cat /etc/passwd
ping -c 4 www.360.com
