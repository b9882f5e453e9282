"""The use cases, each one change to the store. They decide nothing that the domain can decide."""
