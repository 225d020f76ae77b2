"""Alembic's connection to the database, over asyncpg, the product's only driver."""

import asyncio

import asyncpg
from alembic import context
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine


def _migrate(connection: Connection) -> None:
    # Each migration has its own transaction. It holds its locks only for its own time, and one that gets no lock
    # undoes no earlier one.
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _connect() -> asyncpg.Connection:
    """Connect with asyncpg, which reads every form of a PostgreSQL URL, including unix sockets. SQLAlchemy does not."""
    attributes = context.config.attributes
    connection = await asyncpg.connect(
        attributes["database_url"],
        target_session_attrs=SessionAttribute.read_write,
        server_settings={"application_name": "ringback-upgrade"},
    )
    # Not as a parameter of the start: PgBouncer refuses it.
    await connection.execute(f"SET lock_timeout = '{attributes.get('lock_s', 0)}s'")
    return connection


async def _run() -> None:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=_connect)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    except DBAPIError as error:
        # Our callers know the driver's own errors.
        raise (error.orig and error.orig.__cause__) or error from None
    finally:
        await engine.dispose()


asyncio.run(_run())
