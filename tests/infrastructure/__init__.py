"""Tests of the ground the other tests stand on."""
