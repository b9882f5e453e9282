"""HTTP: one application on two surfaces, the operator socket and the loopback shim."""
