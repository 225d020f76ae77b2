"""What an operator does: look, stop, resume, repair and erase."""
