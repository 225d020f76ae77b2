"""How Alembic reaches the database: over asyncpg, the one driver there is."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    url = context.config.attributes["database_url"]
    # asyncpg understands every form of a PostgreSQL URL, unix sockets among them; SQLAlchemy's own parser does not.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(_run())
