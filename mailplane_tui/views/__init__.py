"""What can be looked at: one view per module. Imports nothing."""
