"""What is read of events: pages, one cashback, what ends just now."""
