"""Outbound AI voice calls, with the true outcome of every one."""
