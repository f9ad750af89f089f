"""A worker that lets out what it was given in every way that a plugin has. For the tests of what is masked."""

import json
import logging
import os
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, urlsplit

from loguru import logger as loguru

import pitstop


def texts(value):
    """Yield every text in a config, the keys aside, and the passwords of its URLs as a driver would take them out."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, str):
        yield value
        if "://" in value:
            url = urlsplit(value)
            yield from (part for part in (url.password, unquote(url.password or ""), url.query) if part)
            yield from (part.partition("=")[2] for part in url.query.split("&") if "=" in part)
        yield from (part.partition("=")[2] for part in value.split() if "=" in part)
    elif isinstance(value, int):
        yield str(value)


class Leaker:
    """Tells everything, and then succeeds, fails, wants to be tried again, or has refused before."""

    worker_type = "leaker"

    def validate(self, job):
        mode = job.config["mode"]
        if mode == "refuse":
            raise pitstop.InvalidJobError(reason=f"not with {list(texts(job.config))}", hint=f"{job.config}")
        if mode == "break":
            raise LookupError(f"not with {list(texts(job.config))}")

    def execute(self, job, context):
        config, mode = job.config, job.config["mode"]
        said = [repr(config), json.dumps(config), json.dumps(config, ensure_ascii=False)]
        for text in texts(config):
            said += [text, repr(text), quote(text), quote_plus(text), f"before\n  {text}\nafter", f"({text})"]
        if note := os.environ.get("LEAKER_NOTE"):
            Path(note).write_text(json.dumps([Path("/proc/self/cmdline").read_text(), dict(os.environ)]))
        for number, text in enumerate(said):
            context.logger.info(text)
            context.logger.info("it is {}, {name}", text, name=text)
            context.logger.bind(**{f"k{number}": text, "nested": {text: [text]}}).warning("bound")
            logging.getLogger("leaker").warning("stdlib %s", text)
            loguru.bind(extra=text).warning("loguru {}", text)
            context.progress(number, len(said), unit=text, message=text)
        try:
            raise KeyError(said[0])
        except KeyError:
            context.logger.exception("caught")
            logging.getLogger("leaker").exception("caught")
            loguru.exception("caught")
        everything = "\n".join(said)
        if mode == "fail":
            try:
                raise OSError(everything)
            except OSError as error:
                error.add_note(everything)
                raise ValueError(config, said) from error
        if mode == "again":
            raise pitstop.TransientError(everything)
        return pitstop.Result.changed(everything, warnings=said, said=said, by_text={text: text for text in said})
