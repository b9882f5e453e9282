"""The process: clock, lock, sockets, logs, supervisor."""
