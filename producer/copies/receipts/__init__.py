"""The copy in PostgreSQL: how receipts are recorded, made late, and asked."""
