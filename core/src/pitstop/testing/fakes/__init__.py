"""Stand-ins that a test controls: a clock, a job's context, and waiting without sleeping."""
