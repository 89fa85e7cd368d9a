"""Redis as it is deployed: who may do what there."""
