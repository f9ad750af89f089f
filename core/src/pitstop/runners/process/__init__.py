"""The process runner: each job in a child process that may crash, hang or leak without harm."""
