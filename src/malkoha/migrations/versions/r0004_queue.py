"""What the queue keeps of a task: what a worker needs for it, until when it is wanted, where it runs, its deaths."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for column in (
        sa.Column("deadline", sa.String(40), nullable=True),
        sa.Column("needs", sa.String(200), nullable=False, server_default=""),
        sa.Column("node", sa.String(120), nullable=False, server_default=""),
        sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("tasks", column)
    tasks = sa.table("tasks", sa.column("id"), sa.column("options", sa.JSON), sa.column("needs"), sa.column("status"))
    connection = op.get_bind()
    waiting = sa.select(tasks.c.id, tasks.c.options).where(tasks.c.status.in_(["pending", "completed"]))
    for task_id, options in connection.execute(waiting).all():
        needs = f"{options.get('image', 'default')}/x86-64/{options.get('network', 'none')}"
        connection.execute(tasks.update().where(tasks.c.id == task_id).values(needs=needs))
    op.create_index("tasks_by_age", "tasks", ["status", "id"])
    op.create_index("tasks_by_owner", "tasks", ["owner", "id"])
    op.create_index("tasks_by_deadline", "tasks", ["status", "deadline"])


def downgrade() -> None:
    for index in ("tasks_by_deadline", "tasks_by_owner", "tasks_by_age"):
        op.drop_index(index, "tasks")
    for name in ("deaths", "node", "needs", "deadline"):
        op.drop_column("tasks", name)
