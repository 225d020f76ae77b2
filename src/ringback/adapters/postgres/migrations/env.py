"""Alembic's connection to the database, over asyncpg, the product's only driver."""

import asyncio
from functools import partial

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


async def _run() -> None:
    attributes = context.config.attributes
    # asyncpg reads every form of a PostgreSQL URL, including unix sockets. SQLAlchemy's own parser does not.
    connect = partial(
        asyncpg.connect,
        attributes["database_url"],
        target_session_attrs=SessionAttribute.read_write,
        server_settings={"application_name": "ringback-upgrade", "lock_timeout": f"{attributes.get('lock_s', 0)}s"},
    )
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
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
