"""How events are printed: pages, one cashback, what happened when, a line for each that ends."""
