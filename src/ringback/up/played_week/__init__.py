"""`ringback demo --big`: a week of emulated calls, played by the product's own flows in time that does not wait."""
