"""The simulated BETCORE of `make up`, as `cashback trigger` asks it for makes, over HTTP."""
