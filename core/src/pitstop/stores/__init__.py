"""The stores that come with Pitstop: `memory` and `sqlite`, found by their URL scheme as a stranger's would be."""
