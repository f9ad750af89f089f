"""The commands of `pitstop`, one module each. They parse, call the layers below and print; none imports another."""
