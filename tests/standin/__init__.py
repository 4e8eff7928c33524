"""A second microservice, written from the contract alone: whoever works with it follows the contract, not our code.

It shares nothing with the product. It is strict in what the contract asks of its callers (headers, both levels of a
protection, lots on the step) and makes use of what the contract leaves to a service: see `Dialect`.
"""
