"""A simulated BETCORE over real HTTP. It shares no code with the service: it is the independent witness."""
