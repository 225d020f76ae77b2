"""The same paths on the usual libraries, which do less than the product."""
