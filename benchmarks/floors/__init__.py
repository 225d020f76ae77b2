"""The floors: the same libraries, rows and queue calls as the product's paths, with no product around them."""
