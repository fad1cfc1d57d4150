"""What Alembic runs: our steps, on the connection that `migrate` hands over."""

from alembic import context

from adapters.ledger.schema import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_schemas=True,
    version_table_schema=SCHEMA,
)
context.run_migrations()
