"""Real systems under fault: processes, HTTP on raw bytes, clocks, databases, and the one oracle of all suites."""
