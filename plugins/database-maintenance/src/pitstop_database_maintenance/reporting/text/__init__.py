"""Plans and outcomes as text for a terminal."""
