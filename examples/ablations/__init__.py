"""What was tried for `GlowImage`, and is not in it: see `examples.ablate`."""
