"""The commands that this plugin adds to `pitstop`, one module each. Thin: the rest of the plugin does the work."""
