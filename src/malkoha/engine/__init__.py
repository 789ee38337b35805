"""The tracer that runs in the guest's kernel: its source, and what puts it together."""
