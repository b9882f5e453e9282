"""What views are made of. Imports nothing."""
