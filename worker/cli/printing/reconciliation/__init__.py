"""How a reconciliation is printed: its report, its files, and what a rewind lost."""
