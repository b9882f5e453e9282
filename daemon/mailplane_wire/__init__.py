"""The wire contract: what the daemon and its front ends say to each other. Imports nothing."""
