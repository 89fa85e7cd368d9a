"""What is shipped and where it comes from: licences, known faults of packages, digests of images.

Run by the Makefile, by hand or in CI, and never by a process of the service; the image leaves it out.
"""
