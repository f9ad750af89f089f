"""What code does to its process and its disk while a test watches."""
