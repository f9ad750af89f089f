"""A connection of a job's own to one file: how it is opened, runs statements, waits for locks and is measured.

May import what describes files and errors; knows no operation, no check and no inspection.
"""
