"""Mathematics, heads, memories and encoders: everything in torch that is not a strategy."""
