"""The guardrails: what must hold for everything that the platform registers, on every cloud."""
