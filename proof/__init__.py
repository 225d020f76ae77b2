"""The proof: what shows that the invariants hold, at full size, and that each suite would notice if one did not."""
