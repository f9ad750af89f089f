"""The report that is read in a browser: one HTML file that needs nothing else. Owns how it looks; measures nothing.

What it tells comes from an inspection, from the history of past runs and from a plan, see `contents`.
"""
