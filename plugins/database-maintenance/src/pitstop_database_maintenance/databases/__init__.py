"""The plugin point for kinds of databases: what a kind provides, its connections, URLs, limits and assessments."""
