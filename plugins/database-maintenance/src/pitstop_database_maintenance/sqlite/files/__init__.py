"""The files of a database: which one it is, who has it open, and how another is written beside it and put in its place.

May import the surveyor; opens no connection, and knows no operation.
"""
