"""The peers: what people would write, or use, instead."""
