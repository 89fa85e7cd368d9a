"""The OpenAPI document of the receiver, made from what it serves, answers and limits. Decision 43.

`python -m producer.receiver.openapi` prints it, as `docs/contract/openapi.json` has it.
"""
