"""What reports came to, and the texts by which an analysis is found again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    bytewise = sa.String(400).with_variant(sa.String(400, collation="C"), "postgresql")
    op.create_table(
        "outcomes",
        sa.Column(
            "task_id",
            sa.Integer,
            sa.ForeignKey("tasks.id", ondelete="CASCADE", name="outcomes_task"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("ended_at", sa.String(40), nullable=False),
        sa.Column("run_s", sa.Float, nullable=True),
        sa.Column("total_s", sa.Float, nullable=True),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("processes", sa.Integer, nullable=False),
        sa.Column("tlsh", sa.String(80), nullable=False),
        sa.Column("ssdeep", sa.String(160), nullable=False),
        sa.Column("omitted", sa.Integer, nullable=False),
    )
    op.create_table(
        "terms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "task_id",
            sa.Integer,
            sa.ForeignKey("tasks.id", ondelete="CASCADE", name="terms_task"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("folded", bytewise, nullable=False),
        sa.Column("value", sa.String(400), nullable=False),
    )
    op.create_index("terms_by_value", "terms", ["folded", "kind"])
    op.create_index("terms_by_kind", "terms", ["kind", "folded"])
    op.create_index("terms_by_task", "terms", ["task_id"])


def downgrade() -> None:
    op.drop_table("terms")
    op.drop_table("outcomes")
