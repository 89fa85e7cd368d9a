"""What is between hosts and is no host: lines that take their time, and TLS before PostgreSQL."""
