"""Flows for operators: explain, pause, resume, repair and erase."""
