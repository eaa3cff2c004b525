"""What recovery queries from each cloud's API, beyond what the engine's refresh reads: one module a cloud."""
