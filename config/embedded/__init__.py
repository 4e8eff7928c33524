"""The whole system in one process, for a first look, for development and for one trader's desk."""
