"""What others would write with the usual libraries, doing less than the product."""
