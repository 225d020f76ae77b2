"""How Alembic reaches the database: over asyncpg, the one driver there is."""

import asyncio

import asyncpg
from alembic import context
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine


def _migrate(connection: Connection) -> None:
    # Each migration in a transaction of its own: it holds its locks for its own time only, and one that got no lock
    # undoes none of those before it.
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _connect() -> asyncpg.Connection:
    attributes = context.config.attributes
    return await asyncpg.connect(
        # asyncpg understands every form of a PostgreSQL URL, unix sockets among them; SQLAlchemy's own parser does not.
        attributes["database_url"],
        target_session_attrs=SessionAttribute.read_write,
        server_settings={"application_name": "ringback-upgrade", "lock_timeout": f"{attributes.get('lock_s', 0)}s"},
    )


async def _run() -> None:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=_connect)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    except DBAPIError as error:
        # The driver's own error is what our callers know.
        raise (error.orig and error.orig.__cause__) or error from None
    finally:
        await engine.dispose()


asyncio.run(_run())
