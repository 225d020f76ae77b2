"""The PostgreSQL that comes with the package: found, made, started, watched and stopped by our own supervisor."""
