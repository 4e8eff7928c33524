"""Tests of group names, messages, conflation and the broadcaster."""
