"""Everything that knows the names Retell gives to things."""
