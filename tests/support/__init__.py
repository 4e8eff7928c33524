"""What the tests stand on: real servers on free ports, the whole system as processes, and a few helpers.

`tests/README.md` lists the fixtures. Nothing here knows what the product does.
"""
