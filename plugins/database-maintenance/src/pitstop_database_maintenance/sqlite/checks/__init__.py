"""SQLite's own checks for damage, part by part, here or in child processes, and what stays known of their verdicts."""
