"""The contract with the microservice, as tests that any service can be held against."""
