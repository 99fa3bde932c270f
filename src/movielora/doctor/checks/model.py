"""The Hugging Face cache, and whether the config's model is there or can be reached."""

from __future__ import annotations

from collections.abc import Callable

from movielora.doctor.check import Check, failure, ok, skipped
from movielora.doctor.requirements import Requirements
from movielora.errors import ModelError
from movielora.machine.child import Outcome
from movielora.model.folder import check_weights, read_model_config
from movielora.model.hub import cache_folder, is_cached, is_hub_name, way_out, why_unreachable
from movielora.model.tiny import NAME as TINY

# What `run_probes` runs.
ARCHITECTURES_TARGET = "movielora.model.folder:known_architectures"


def check_hugging_face() -> Check:
    """Where models are kept, and whether the libraries may use the network."""
    from huggingface_hub import constants

    mode = "offline mode is on" if constants.HF_HUB_OFFLINE else "offline mode is off"
    return ok("hugging_face", f"cache {cache_folder()}; {mode}")


def check_model(
    requirements: Requirements, architectures: Outcome, reachable: Callable[[str], str] | None = None
) -> Check:
    """`reachable` gives why a name cannot be reached, empty if it can."""
    if not requirements.model:
        return skipped("model", "no config given")
    if requirements.model == TINY:
        return ok("model", "tiny, the embedded base: built on the spot")
    if requirements.model_at.is_dir():
        return _check_folder(requirements, architectures)
    if not is_hub_name(requirements.model):
        fix = "correct model_name_or_path, or set it to a Hugging Face name"
        return failure("model", f"{requirements.model} does not exist", f"the model of {requirements.config}", fix)
    return _check_name(requirements.model, reachable or why_unreachable)


def _check_folder(requirements: Requirements, architectures: Outcome) -> Check:
    try:
        kind = read_model_config(requirements.model_at)["model_type"]
        size = check_weights(requirements.model_at)
    except ModelError as error:
        return failure("model", error.message, "a complete model folder", error.next_step)
    known = architectures.value["model_types"] if architectures.value else [kind]
    if kind not in known:
        found = f"{requirements.model}: the installed transformers knows no language model of type `{kind}`"
        return failure("model", found, "a known architecture", "pip install --upgrade transformers, or another model")
    return ok("model", f"{requirements.model}: {kind}, {size / 1e9:.1f} GB of complete weights")


def _check_name(name: str, reachable: Callable[[str], str]) -> Check:
    from huggingface_hub import constants

    if is_cached(name):
        return ok("model", f"{name} is in the cache")
    if constants.HF_HUB_OFFLINE:
        fix = f"unset HF_HUB_OFFLINE; or {way_out(name, '')}"
        return failure("model", f"{name} is not in the cache, and offline mode is on", "the config's model", fix)
    problem = reachable(name)
    if problem:
        found = f"{name} is not in the cache and cannot be reached: {problem}"
        return failure("model", found, "the config's model", way_out(name, problem))
    return ok("model", f"{name} is not in the cache; it can be downloaded")
