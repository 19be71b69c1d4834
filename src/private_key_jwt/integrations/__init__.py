"""Adapters for the frameworks that authorization servers are built with: one module each, behind its extra."""
