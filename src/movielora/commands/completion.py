"""What a shell offers at TAB: runs by their names, and config keys. It must be fast, and never says a word itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from movielora.errors import MovieloraError


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """The runs whose names begin with `incomplete`, here and elsewhere, each with its folder.

    Nothing for a path, which shells know.
    """
    from movielora.runs.lookup.find import list_runs, runs_elsewhere
    from movielora.runs.record import read_record

    found: dict[str, str] = {}
    with suppress(MovieloraError, OSError):
        for paths in (*list_runs(), *runs_elsewhere()):
            record = read_record(paths)
            name = record.name if record and record.name else paths.root.name
            found.setdefault(name, str(paths.root))
    return [(name, folder) for name, folder in found.items() if name.startswith(incomplete)]


def complete_override(incomplete: str) -> list[tuple[str, str]]:
    """`key=` for every config key that begins with `incomplete`; behind the `=`, the values of a key that has a few."""
    from movielora.config.explain import first_sentence, values_of

    key, equals, value = incomplete.partition("=")
    if equals:
        return [(f"{key}={each}", "") for each in values_of(key) if each.startswith(value)]
    return [(f"{each}=", first_sentence(each)) for each in _keys(incomplete)]


def complete_key(incomplete: str) -> list[tuple[str, str]]:
    """Every config key that begins with `incomplete`."""
    from movielora.config.explain import first_sentence

    return [(key, first_sentence(key)) for key in _keys(incomplete)]


def _keys(incomplete: str) -> Iterator[str]:
    from movielora.config.named_values import NO_EFFECT
    from movielora.config.resolve import known_keys

    yield from (key for key in known_keys() if key.startswith(incomplete) and key not in NO_EFFECT)
