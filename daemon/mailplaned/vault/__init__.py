"""Secrets, known by name: the book names them, only the vault knows them."""
