"""What brings Ringback onto other machines."""
