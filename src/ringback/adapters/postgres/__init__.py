"""The one store: PostgreSQL with hand-written SQL; SQL lives here and nowhere else."""
