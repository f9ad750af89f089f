"""What databases look like in real life, made by script: each goes through every command, SQLite reads the result.

A situation declares what is true of it; SQLite's own program confirms that before, and says afterwards what is there.
Nothing of Pitstop is asked. `python -m corpus` runs them all; `README.md` beside this file says how.
"""
