#!/usr/bin/env python3
import subprocess
from pathlib import Path

print("hello from python", flush=True)
Path("/tmp/python.txt").write_text("written by python\n")
subprocess.run(["cat", "/tmp/python.txt"], check=True)
