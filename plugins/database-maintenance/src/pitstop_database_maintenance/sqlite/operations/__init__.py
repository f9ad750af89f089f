"""The operations on SQLite, one module each, named as their entry points are. Modules with an underscore help them."""
