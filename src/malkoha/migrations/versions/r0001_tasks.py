"""The table of tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("category", sa.String(8), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("sample", sa.JSON, nullable=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("status", sa.String(24), nullable=False),
        sa.Column("added_at", sa.String(40), nullable=False),
        sa.Column("started_at", sa.String(40), nullable=True),
        sa.Column("completed_at", sa.String(40), nullable=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("runner", sa.String(120), nullable=False),
    )
    op.create_index("tasks_by_status", "tasks", ["status", "priority", "id"])
    op.create_index("tasks_by_sha256", "tasks", ["sha256"])


def downgrade() -> None:
    op.drop_table("tasks")
