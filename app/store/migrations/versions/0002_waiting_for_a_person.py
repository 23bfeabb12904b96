"""Jobs that wait for a person: what they await, what they show, what was said."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a batch: SQLite adds a column in place, and rebuilding `jobs` would touch what refers to it.
    op.add_column("jobs", sa.Column("deadline_left", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("awaiting", sa.String(length=20), nullable=True))
    op.add_column("jobs", sa.Column("review", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "review_items",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("before_sha256", sa.String(length=64), nullable=True),
        sa.Column("before_bytes", sa.BigInteger(), nullable=True),
        sa.Column("after_sha256", sa.String(length=64), nullable=False),
        sa.Column("after_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=200), nullable=False),
        sa.Column("scores", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("decision", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_review_items_job_id")),
        sa.PrimaryKeyConstraint("job_id", "id", name=op.f("pk_review_items")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_review_items_job_id_number")),
    )
