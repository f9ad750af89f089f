"""Which texts are secrets, and hiding them wherever something is shown, logged or stored. It imports only `text`."""
