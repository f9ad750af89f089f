"""From a submission to the end of its tree: checks, dispatches, monitors and rescues jobs, and writes their status.

It may import everything below it; only the command line and the test tools are above. Its public names are those of
`pitstop`, which loads each when it is used: a command that only lists jobs does not pay for running them.
"""
