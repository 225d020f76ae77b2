"""Facts and decisions: plain Python over the standard library, without I/O and without a clock."""
