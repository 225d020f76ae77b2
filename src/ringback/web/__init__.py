"""What the HTTP services share: keys, problems, limits, health, and the shapes of requests."""
