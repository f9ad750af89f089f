"""Keeps databases healthy: a worker type, a planner and the operations of SQLite."""
