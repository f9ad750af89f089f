"""How much of a file is unused, from a sample of its pages or from all of them."""
