"""Revisions, oldest first by their number; a released revision is never edited."""
