"""How the world is reached; the only code that knows its protocols."""
