"""What the service keeps of a task: who asked for it, with what words, and how often a worker took it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in (
        sa.Column("custom", sa.Text, nullable=False, server_default=""),
        sa.Column("owner", sa.Text, nullable=False, server_default=""),
        sa.Column("tags", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("submit_id", sa.Integer, nullable=True),
        sa.Column("md5", sa.String(32), nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("tasks", column)
    op.create_index("tasks_by_md5", "tasks", ["md5"])


def downgrade() -> None:
    op.drop_index("tasks_by_md5", "tasks")
    for name in ("attempts", "md5", "submit_id", "tags", "owner", "custom"):
        op.drop_column("tasks", name)
