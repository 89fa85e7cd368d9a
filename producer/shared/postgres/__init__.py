"""How PostgreSQL is spoken to: sessions, prepared statements, and connections that were let go of."""
