"""Alembic's environment and the revisions of the task database; ``malkoha.tasks`` runs them."""
