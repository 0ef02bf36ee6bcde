"""Tables of the fair shares and of the cost of reads at X."""

from alembic import op

revision = "0040"
down_revision = "0030"

TABLES = """
CREATE TABLE turns (
    scope TEXT NOT NULL,
    subject TEXT NOT NULL,
    weight DOUBLE PRECISION DEFAULT 1 NOT NULL,
    served DOUBLE PRECISION DEFAULT 0 NOT NULL,
    served_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (scope, subject)
)
 WITH (fillfactor = 70);
CREATE INDEX turns_given_last ON turns (served_at) WHERE scope = 'workspace';
CREATE TABLE post_reads (
    platform TEXT NOT NULL,
    day DATE NOT NULL,
    reads BIGINT DEFAULT 0 NOT NULL,
    held BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (platform, day)
)
 WITH (fillfactor = 50)
"""


def upgrade() -> None:
    """Create the tables."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
