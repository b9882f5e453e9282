"""The use cases: each is one change to the store. They decide nothing that the domain can decide."""
