"""The worker type `database_maintenance_operation`, the action `database_maintenance`, and what their jobs hold."""
