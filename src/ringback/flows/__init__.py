"""What happens: verb phrases over ports, without I/O of their own."""
