"""Writing the package of a new operation or worker: names, templates, and what is taken already. Installs nothing."""
