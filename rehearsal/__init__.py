"""A resident stand-in for the three clouds, underneath the unmodified program and the real engine."""
