"""The installed libraries against the versions movielora names in its own package metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata

from packaging.requirements import Requirement

from movielora.doctor.check import Check, failure, ok, warning
from movielora.errors import shell_command

LIBRARIES = ("transformers", "trl", "peft", "datasets", "accelerate")


def package_requirements(declared: Sequence[str] | None = None) -> dict[str, Requirement]:
    """What movielora asks of each library it needs, extras left out; by lower-case name.

    Empty where movielora runs from its source files and was never installed.
    """
    lines = declared if declared is not None else _declared()
    parsed = [Requirement(line) for line in lines]
    return {found.name.lower(): found for found in parsed if not (found.marker and "extra" in str(found.marker))}


def _declared() -> Sequence[str]:
    try:
        return metadata.requires("movielora") or ()
    except metadata.PackageNotFoundError:
        return ()


def check_library(name: str, wanted: Requirement | None, installed: Callable[[str], str] = metadata.version) -> Check:
    text = str(wanted.specifier) if wanted else ""
    fix = shell_command("pip", "install", f"{name}{text}")
    try:
        version = installed(name)
    except metadata.PackageNotFoundError:
        return failure(name, "not installed", f"{name} {text}", fix)
    if wanted and not wanted.specifier.contains(version, prereleases=True):
        return failure(name, version, f"{name} {text}", fix)
    if wanted is None:
        return warning(
            name, version, "a version that movielora was tested with", "pip install . in movielora's source folder"
        )
    return ok(name, version)
