"""What runs the service: images, configuration, and everything on one machine."""
