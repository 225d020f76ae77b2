"""Outbound AI voice calls, and the truth about what became of every one."""
