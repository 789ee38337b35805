"""Fuzz targets: whatever bytes a trace is made of, it is read without an error and nothing of it is lost."""
