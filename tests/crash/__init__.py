"""Processes that are killed, stopped or failed by their disk: nothing is lost, nothing stuck, nothing done twice."""
