"""What a kind of database promises before and around a connection: what is refused, named, opened and closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pitstop.errors import InputError, JobCancelledError, OperationError, TransientError
from pitstop.testing import PATIENCE, FakeContext, Signal
from pitstop.testing.contracts.worker.trial import describe_error
from pitstop.testing.observe.side_effects import changes, contents, differences, open_descriptors, state
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.testing.database.base import PASSWORD, KindContract, catch_error, check_failure


class _OfTheBlock(Exception):  # noqa: N818 - nobody's error
    """What a block raises that has nothing to do with the database."""


class ConnectingPromises(KindContract):
    """What is not there is refused, and what was opened is closed."""

    __test__ = False

    def test_database_is_one(self) -> None:
        """It is a subclass of `Database` that leaves nothing abstract, and its options say what they mean."""
        kind = self.kind()
        assert isinstance(kind, type), f"{kind!r} is no class"
        assert issubclass(kind, Database), f"{kind.__name__} is no subclass of Database"
        abstract = sorted(kind.__abstractmethods__)
        assert not abstract, f"{kind.__name__} has no {', '.join(abstract)}"
        assert isinstance(kind.dialect, str), f"its dialect is {kind.dialect!r}, not a scheme"
        assert isinstance(kind.options, Mapping), f"its options are {kind.options!r}, not names with what they mean"
        for name, meaning in kind.options.items():
            said = isinstance(meaning, str) and meaning.strip()
            assert said, f"its option {name!r} does not say what it means"
        unknown = set(self.options) - set(kind.options)
        assert not unknown, f"it has no option {', '.join(sorted(unknown))}, with which it is to be opened"

    def test_check_accepts_what_is_right(self, folder: Path) -> None:
        """A database that can be worked on is accepted, more than once, and nothing is changed."""
        url = self.make_url(folder)
        before = contents(folder.parent)
        for _ in range(2):
            refusal = catch_error(lambda: self.kind().check(url, **self.options))
            assert refusal is None, f"check refuses what is said to be right: {describe_error(refusal)}"
        done = differences(before, contents(folder.parent))
        assert not done, f"check changes files: {', '.join(done)}"

    def test_missing_database_is_refused_in_words(self, folder: Path) -> None:
        """What is not there is refused by `check`, or at the latest by `connect`, and neither makes it."""
        url = self.missing_url(self.fresh_folder(folder, "empty"))
        if url is None:
            return  # there can be no such thing
        before = contents(folder.parent)
        refusal = catch_error(lambda: self.kind().check(url, **self.options))
        if refusal is not None:
            check_failure(refusal, "check of a missing database", InputError)
        else:
            check_failure(catch_error(lambda: self._use(url)), "connect to a missing database")
        catch_error(lambda: self._use(url))
        done = differences(before, contents(folder.parent))
        assert not done, f"for a missing database, files are changed: {', '.join(done)}"

    def test_resource_is_one_text_for_all_spellings(self, folder: Path) -> None:
        """Two jobs on one database are never kept apart by how it was spelt."""
        url = self.make_url(folder)
        resource = self.kind().resource(url)
        assert isinstance(resource, str), f"resource() returns {resource!r}, not a text"
        assert resource.strip(), "resource() returns an empty text"
        for spelling in (url, *self.spellings(url)):
            other = self.kind().resource(spelling)
            assert other == resource, f"the resource of {spelling!r} is {other!r}, and that of {url!r} is {resource!r}"

    def test_resource_of_two_databases_is_not_one(self, folder: Path) -> None:
        """Databases that have nothing to do with each other do not wait for each other."""
        urls = [self.make_url(self.fresh_folder(folder, name)) for name in ("one", "two")]
        resources = [self.kind().resource(url) for url in urls]
        assert urls[0] == urls[1] or resources[0] != resources[1], f"{urls} are one resource: {resources[0]!r}"

    def test_resource_holds_no_password(self, folder: Path) -> None:
        """It is in listings and records that everybody may read; a `${NAME}` may stand for the password."""
        url = self.make_url(folder)
        for password in (PASSWORD, "${PASSWORD}"):
            given = self.with_password(url, password)
            if given is not None:
                resource = self.kind().resource(given)
                assert password not in resource, f"the resource {resource!r} holds the password of {given!r}"

    def test_resource_takes_variables(self, folder: Path) -> None:
        """It is asked before a `${NAME}` in the URL is filled in."""
        url = self.make_url(folder) + "${NAME}"
        failure = catch_error(lambda: self.kind().resource(url))
        assert failure is None, f"resource({url!r}) raised {describe_error(failure)}"

    def test_connect_closes_what_it_opened(self, folder: Path) -> None:
        """Nothing stays open or goes on afterwards, at the first connection and at the second."""
        url = self.make_url(folder)
        self._use(url)  # what is made at the first one for all is not the second one's
        for _ in range(2):
            self._require_nothing_open(lambda: self._use(url), "after a connection")

    def test_connect_closes_when_the_block_raises(self, folder: Path) -> None:
        """What is raised within comes out as it is, and nothing stays open."""
        url = self.make_url(folder)
        self._use(url)
        raised = _OfTheBlock()

        def use() -> None:
            caught = catch_error(lambda: self._use(url, raising=raised))
            assert caught is raised, f"a block raised {raised!r}, and out of connect came {caught!r}"

        self._require_nothing_open(use, "after a block that raised")

    def test_connect_closes_when_the_job_is_told_to_stop(self, folder: Path) -> None:
        """A job that was told to stop, before or within, leaves nothing open either."""
        url = self.make_url(folder)
        self._use(url)

        def use(before: bool) -> None:
            context = FakeContext()
            if before:
                context.cancel()
            failure = catch_error(lambda: self._use(url, context, cancel=True))
            context.close()
            if failure is not None:
                check_failure(failure, "a job that was told to stop", JobCancelledError)

        for before in (True, False):
            self._require_nothing_open(partial(use, before), "after a job that was told to stop")

    def test_connections_in_two_threads(self, folder: Path) -> None:
        """Two jobs are connected at the same time, each in a thread, and neither has to do with the other."""
        url = self.make_url(folder)
        first, second = (Signal(f"the connection of thread {number} is there") for number in (1, 2))
        failures: list[BaseException] = []

        def work(own: Signal, other: Signal) -> None:
            failure = catch_error(lambda: self._use_at_the_same_time(url, own, other))
            failures.extend([failure] if failure else [])
            own.give()

        threads = []
        for own, other in ((first, second), (second, first)):
            threads.append(threading.Thread(target=work, args=(own, other), name="trial-connection", daemon=True))
            threads[-1].start()
            own.wait()
        for thread in threads:
            thread.join(PATIENCE)
        assert not failures, f"two connections in two threads: {describe_error(failures[0])}"
        assert not any(thread.is_alive() for thread in threads), "two connections in two threads wait for each other"

    def test_options_with_odd_values_are_refused_in_words(self, folder: Path) -> None:
        """Each option is taken by `check` and by `connect`, and a value that it cannot have is refused."""
        url = self.make_url(folder)
        for name in self.kind().options:
            odd = {**self.options, name: {"no": ["such", "value"]}}
            what = f"an odd value of the option {name!r}"
            failure = catch_error(partial(self.kind().check, url, **odd))
            if failure is not None:
                check_failure(failure, f"check with {what}", InputError)
            failure = catch_error(partial(self._connect, url, odd))
            if failure is not None:
                check_failure(failure, f"connect with {what}", InputError, OperationError, TransientError)

    def _connect(self, url: str, options: Mapping[str, object]) -> None:
        with self.kind().connect(url, FakeContext(), **options):
            pass

    def _use(
        self,
        url: str,
        context: FakeContext | None = None,
        *,
        raising: BaseException | None = None,
        cancel: bool = False,
    ) -> None:
        context = context or FakeContext()
        with self.connect(url, context) as db:
            db.execute("SELECT 1")
            if cancel:
                context.cancel()
                db.check_stop()
            if raising is not None:
                raise raising

    def _use_at_the_same_time(self, url: str, own: Signal, other: Signal) -> None:
        with self.connect(url) as db:
            own.give()
            other.wait()
            rows = db.execute("SELECT 1")
            assert [tuple(row) for row in rows] == [(1,)], f"SELECT 1 returns {rows!r}"

    def _require_nothing_open(self, use: Callable[[], object], when: str) -> None:
        before, files = state(), open_descriptors()
        use()
        more = open_descriptors() - files
        changed = changes(before, state())
        assert not more, f"{when}, these are still open: {', '.join(more)}"
        assert not changed, f"{when}, the process is not as it was: {'; '.join(changed)}"
