"""The operator's TOML: what should be true, checked as a whole and turned into a `Policy`."""
