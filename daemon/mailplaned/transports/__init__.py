"""The ways out: one module per kind of provider, and what they share."""
