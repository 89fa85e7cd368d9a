"""How Redis is spoken to: what its URL says, and the settings of Celery that follow from it."""
