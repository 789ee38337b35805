"""Evaluation: known techniques, dual-use programs and ordinary jobs run in guests, and what malkoha makes of them."""
