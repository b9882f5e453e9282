"""The front ends: the dashboard and the command line. Imports nothing."""
