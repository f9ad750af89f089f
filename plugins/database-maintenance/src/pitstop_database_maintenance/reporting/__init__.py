"""Plans, outcomes and reports for people and programs: text, HTML and JSON. It reads records and decides nothing.

What prints to a terminal is in `reporting.text`, the page in `reporting.html`.
"""
