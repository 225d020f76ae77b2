"""Steps of a call: verb phrases over ports, without I/O of their own."""
