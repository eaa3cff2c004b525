"""Plays AWS, Google Cloud and Azure on this machine, for an unmodified program and the real engine."""
