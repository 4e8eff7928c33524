"""The web face: pages, the JSON API with its OpenAPI document, health and metrics."""
