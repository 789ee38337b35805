"""malkoha: a Linux malware sandbox that records every system call of a sample from inside the kernel."""

__version__ = "0.1.0"
