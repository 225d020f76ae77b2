"""What is true: plain Python over the standard library, without I/O and without a clock."""
