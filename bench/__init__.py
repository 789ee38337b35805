"""Benchmarks: named figures with their units and what they were measured against, no pass or fail."""
