"""Databases with nothing odd about them, in each journal mode: what must always get through."""

from __future__ import annotations

from corpus.place import Place
from corpus.situation import Truth, situation


@situation("a shop")
def shop(place: Place) -> None:
    place.shop()


@situation("a shop in WAL mode")
def shop_wal(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")


@situation("a shop with incremental auto_vacuum")
def shop_incremental(place: Place) -> None:
    place.shop("PRAGMA auto_vacuum = INCREMENTAL")


@situation("nothing but an id", truth=Truth.SOUND)
def only_an_id(place: Place) -> None:
    place.make("PRAGMA application_id = 1234", "PRAGMA user_version = 7")
