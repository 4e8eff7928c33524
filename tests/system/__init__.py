"""The whole loop with real processes: embedded, in production's shape, and beside another microservice."""
