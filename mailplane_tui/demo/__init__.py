"""The demo: the whole product on a stand-in provider. Imports nothing."""
