"""Inspect, plan, run, inspect again, and compare: the engine of `pitstop maintain`."""
