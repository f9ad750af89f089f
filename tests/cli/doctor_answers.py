"""What `pitstop doctor --json` says of one distribution."""


def problems_of(answer):
    """Return the problems of the zoo's distributions, and those alone."""
    return {problem["distribution"]: problem for problem in answer.json["problems"]}


def notes_of(answer, name):
    return [note["cause"] for note in answer.json["notes"] if note["distribution"] == name]
