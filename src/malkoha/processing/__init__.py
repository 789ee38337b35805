"""Modules that read an analysis folder and make one section of the report each."""
