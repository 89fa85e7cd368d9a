"""How commands print: JSON for programs, tables for people."""
