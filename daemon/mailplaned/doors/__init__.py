"""What comes in: each door parses, asks the services, and answers."""
