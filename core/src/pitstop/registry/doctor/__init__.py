"""What is wrong with the installed plugins: imports each in a child process and reports. Nothing below imports it."""
