"""Permissions and trust: who may do what, and whose tokens are trusted."""
