"""The configuration of the embedded PostgreSQL, written anew before every start."""

import os
import re
from pathlib import Path

# Parallel queries ask /dev/shm for tens of megabytes; containers often have 64 MB of it.
SMALLEST_DEV_SHM_BYTES = 256 * 1024 * 1024

DATABASE = "ringback"
SUPERUSER = "postgres"
#: The product's own role: it owns the database and is no superuser.
ROLE = "ringback"
#: The kernel tells PostgreSQL which user connects, so no password has to be kept (PostgreSQL's documentation, 20.9).
HOST_BASED_AUTHENTICATION = "local all all peer map=ringback\n"


def user_name_map(client: str) -> str:
    """The text of pg_ident.conf: the user that runs Ringback may be the role and the superuser, nobody else anything.

    `client` is that user's account name.
    """
    quoted = '"' + client.replace('"', '""') + '"'
    return "".join(f"ringback {quoted} {role}\n" for role in (ROLE, SUPERUSER))


def server_configuration(*, socket_dir: Path, lz4: bool, shared_memory: str) -> str:
    """The text of postgresql.conf; a number of megabytes is written with its unit."""
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "dynamic_shared_memory_type": shared_memory,
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_compression": "lz4" if lz4 else "on",
        "max_wal_size": "1GB",
        "autovacuum": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        # An error's text, statement and detail quote column values, phone numbers among them. The client gets them in
        # full; here only the server's own life is recorded.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    return "".join(f"{name} = '{_quoted(value)}'\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    return re.sub(r"(['\\])", r"\1\1", value)


def shared_memory_type(dev_shm: Path = Path("/dev/shm")) -> str:
    """`posix`, or `mmap` (files in the data directory) where /dev/shm is missing or small."""
    try:
        space = os.statvfs(dev_shm)
    except OSError:
        return "mmap"
    return "posix" if space.f_bavail * space.f_frsize >= SMALLEST_DEV_SHM_BYTES else "mmap"
