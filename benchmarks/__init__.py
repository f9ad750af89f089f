"""What the README's figures come from: `python -m benchmarks`. See README.md beside this file."""
