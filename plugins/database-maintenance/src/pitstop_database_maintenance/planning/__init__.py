"""A request and inspections become a plan: which operations run on which databases, in which order, and why."""
