"""Newer facts on request: providers read downloads, gates reject what looks wrong, a dated file is written."""
