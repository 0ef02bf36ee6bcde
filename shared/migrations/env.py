"""Alembic's entry: one connection, one transaction, one migration at a time in the whole fleet."""

from alembic import context
from sqlalchemy import create_engine, text

from shared.webhooks.tables import Base

MIGRATION_LOCK = 7_205_719_314  # any constant: two `dravo migrate` at once wait for each other on it

engine = create_engine(context.config.attributes["url"], hide_parameters=True)
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
