"""What several commands need: the connections, the words for what failed, and how a time is read."""
