"""Settings: environment variables with the prefix `CASHBACK_`, for secrets also files that they name.

README.md lists them all, and a test keeps that table equal to these classes.
"""
