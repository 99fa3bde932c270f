"""The rows that an adapter was trained and evaluated on, as `training_rows.parquet` keeps them in a run folder.

    use     `train`, or `eval` for the rows on which the best checkpoint was chosen
    kind    what the key is of: `event` (user, film, time), `films` or `text` (the question of a row without an event),
            `films_of_event` or `text_of_event` (the question of a row that has one), `newest` or `newest_of_event`
            (the candidate and the few newest films)
    step    the key minus the one before it, of the same use and kind, ascending: half the size of the keys

ml-latest-small's 78,271 rows are 1.2 MB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from movielora.errors import DataError
from movielora.examples.row_keys import FEW_FILMS, FILMS, Keys, RowKeys
from movielora.runs.paths import RunPaths

Use = Literal["train", "eval"]
USES: tuple[Use, ...] = ("train", "eval")
KINDS = ("event", "films", "text", "films_of_event", "text_of_event", "newest", "newest_of_event")
# Questions of rows with an event keep 48 bits: among 29 million of them one row in ten million is taken for another.
# Newest films, by which no row is said to be known, keep 32: of 29 million, one row in 150.
_CUT, _NEWEST_CUT = np.uint64(16), np.uint64(32)
_NOTHING: Keys = np.empty(0, np.uint64)


@dataclass(frozen=True)
class TrainedRows:
    """`keys` is by use and kind: sorted, each once."""

    keys: dict[tuple[str, str], Keys] = field(default_factory=dict)

    @classmethod
    def of(cls, train: RowKeys, evaluation: RowKeys | None = None) -> TrainedRows:
        """The record of rows with these keys."""
        found = {("train", kind): keys for kind, keys in _by_kind(train).items()}
        if evaluation is not None:
            found |= {("eval", kind): keys for kind, keys in _by_kind(evaluation).items()}
        return cls(found)

    @classmethod
    def read(cls, folder: Path) -> TrainedRows | None:
        """The record in a run folder, None if there is none. Raises DataError if it is damaged."""
        import polars as pl

        path = RunPaths(folder).trained_rows
        if not path.is_file():
            return None
        try:
            frame = pl.read_parquet(path)
            parts = frame.partition_by("use", "kind", as_dict=True, maintain_order=True)
            found = {(str(use), str(kind)): np.cumsum(part["step"].to_numpy()) for (use, kind), part in parts.items()}
        except (OSError, pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read: {str(error).splitlines()[0]}",
                "move it away: what the run was trained on is then derived from its dataset, or not known",
            ) from None
        if not found.keys() <= {(use, kind) for use in USES for kind in KINDS}:
            raise DataError(f"{path} is of another version of movielora", "update movielora")
        return cls(found)

    def write(self, folder: Path) -> None:
        """Write the record into a run folder, complete or not at all. Raises OSError."""
        import polars as pl

        from movielora.storage.atomic import sync

        path = RunPaths(folder).trained_rows
        counts = [len(keys) for keys in self.keys.values()]
        uses, kinds = (pl.Series([part[n] for part in self.keys], dtype=pl.Categorical) for n in (0, 1))
        repeated = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        steps = [np.diff(keys, prepend=np.uint64(0)) for keys in self.keys.values()]
        columns = {
            "use": uses.gather(repeated),
            "kind": kinds.gather(repeated),
            "step": np.concatenate([_NOTHING, *steps]),
        }
        beside = path.with_name(f".{path.name}.tmp")
        try:
            pl.DataFrame(columns).write_parquet(beside, compression="zstd")
            sync(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync(folder)

    def joined(self, other: TrainedRows | None) -> TrainedRows:
        """The rows of both."""
        if other is None:
            return self
        places = dict.fromkeys([*self.keys, *other.keys])
        return TrainedRows(
            {place: _distinct(np.concatenate([self._of(*place), other._of(*place)])) for place in places}
        )

    def holds(self, rows: RowKeys, use: Use = "train") -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of `rows` are among those of `use`, and of which that cannot be known; (rows,) each.

        A row is known by its event, else by its question: ids and times may have been written otherwise. That is not
        enough if both sides have an event and few films are shown, which two users may have rated alike; nor if one
        side has none and shows fewer films than the other. A text that no films can be read from and a list of films
        cannot be compared.
        """
        kinds = {kind: self._of(use, kind) for kind in KINDS}
        found = rows.has_event & _is_in(rows.event, kinds["event"])
        no_event = ~rows.has_event
        unknown = np.zeros(len(rows), dtype=bool)
        for mine, kind, other in ((~rows.is_text, "films", "text"), (rows.is_text, "text", "films")):
            found |= mine & _is_in(rows.question, kinds[kind])
            same = mine & _is_in(rows.question >> _CUT, kinds[f"{kind}_of_event"])
            found |= same & (no_event | rows.is_text | (rows.films == FILMS))
            unknown |= same
            unknown |= mine & (len(kinds[other]) > 0)
            unknown |= mine & no_event & (len(kinds[f"{other}_of_event"]) > 0)
        return found, (unknown | _may_be_cut(rows, kinds["newest"], kinds["newest_of_event"])) & ~found

    def count(self, use: Use = "train") -> int:
        """How many different rows there are of `use`."""
        return sum(len(self._of(use, kind)) for kind in ("event", "films", "text"))

    def _of(self, use: str, kind: str) -> Keys:
        return self.keys.get((use, kind), _NOTHING)


def _may_be_cut(rows: RowKeys, newest: Keys, newest_of_event: Keys) -> NDArray[np.bool_]:
    """Which rows may be known ones with a longer or shorter history, if they or those have no event: (rows,)."""
    keys, no_event = rows.newest >> _NEWEST_CUT, ~rows.has_event
    alike = _is_in(keys, newest) | (no_event & _is_in(keys, newest_of_event))
    too_few = no_event & (rows.films < FEW_FILMS) & bool(len(newest) or len(newest_of_event))
    return ~rows.is_text & (too_few | (alike & (rows.films >= FEW_FILMS)))


def _by_kind(rows: RowKeys) -> dict[str, Keys]:
    questions, text = rows.question, rows.is_text
    few = ~text & (rows.films >= FEW_FILMS)
    found = {
        "event": rows.event[rows.has_event],
        "films": questions[~rows.has_event & ~text],
        "text": questions[~rows.has_event & text],
        "films_of_event": questions[rows.has_event & ~text] >> _CUT,
        "text_of_event": questions[rows.has_event & text] >> _CUT,
        "newest": rows.newest[few & ~rows.has_event] >> _NEWEST_CUT,
        "newest_of_event": rows.newest[few & rows.has_event] >> _NEWEST_CUT,
    }
    return {kind: _distinct(keys) for kind, keys in found.items() if len(keys)}


def _distinct(keys: Keys) -> Keys:
    """The different ones, ascending. `np.unique` takes minutes for 29 million."""
    ordered = np.sort(keys)
    found: Keys = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]]
    return found


def _is_in(keys: Keys, known: Keys) -> NDArray[np.bool_]:
    """Which of `keys` are among `known`, which is sorted: (keys,)."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == keys
    return found
