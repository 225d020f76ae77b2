"""The world outside Ringback, pretended: a Retell with its own ledger of rings, and an Engage that forgets nothing."""
