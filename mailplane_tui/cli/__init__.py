"""The `mailplane` command. It has to start fast: nothing here may import Textual or the daemon."""
