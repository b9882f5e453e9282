"""The daemon. Start reading at `main`, or at docs/ARCHITECTURE.md."""
