"""SQLite behind one writer. The only package that opens the database file."""
