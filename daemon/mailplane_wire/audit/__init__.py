"""The audit log as it can be proved: its arithmetic, its export, and the verifier."""
