"""How Redis is spoken to: what its URL says, the settings of Celery that follow from it, and who is there."""
