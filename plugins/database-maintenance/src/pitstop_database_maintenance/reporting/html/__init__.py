"""The report that is read in a browser: one HTML file that needs nothing else."""
