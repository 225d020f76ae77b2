"""The deployment of Ringback to other machines."""
