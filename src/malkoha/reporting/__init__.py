"""Forms of the report: JSON for tools, one self-contained page for people."""
