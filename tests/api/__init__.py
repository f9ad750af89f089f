"""The public API as a text, and the test that compares it with the one that is committed."""
