"""Thousands of databases: waves of jobs, what is unchanged since the last run, and totals."""
