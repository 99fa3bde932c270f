"""Models by name on the Hugging Face hub: asked shortly first, because its client tries for half a minute."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

from movielora.errors import ModelError, first_line

_SECONDS = 3.0


def is_hub_name(name: str) -> bool:
    """`owner/name`, as the hub writes it, and no path."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name))


def is_cached(name: str) -> bool:
    """Whether the cache holds the model's config and weights."""
    from huggingface_hub import try_to_load_from_cache

    def has(file: str) -> bool:
        return isinstance(try_to_load_from_cache(name, file), str)

    return has("config.json") and (has("model.safetensors") or has("model.safetensors.index.json"))


def why_unreachable(name: str) -> str:
    """Ask the hub for the model's config by HTTP HEAD: why it does not answer, empty where it does."""
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        return "offline mode is on"
    request = urllib.request.Request(hf_hub_url(name, "config.json"), method="HEAD")  # noqa: S310 (the hub's own URL)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        return f"the hub has no such model (HTTP {error.code})" if error.code in (401, 404) else f"HTTP {error.code}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def config_file(name: str) -> Path:
    """The cached config.json of a Hugging Face name, or a fresh one; only that file is fetched.

    Raises ModelError where it is neither here nor to be had.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    cached = try_to_load_from_cache(name, "config.json") if is_hub_name(name) else None
    if isinstance(cached, str):
        return Path(cached)
    problem = why_unreachable(name) if is_hub_name(name) else "it is neither a folder nor a Hugging Face name"
    try:
        if not problem:
            return Path(hf_hub_download(name, "config.json"))
    except (HfHubHTTPError, OSError) as error:
        problem = first_line(error)
    raise ModelError(
        f"the model {name} has no config.json here: {problem}",
        "connect to the network, or set model_name_or_path to a local folder or to tiny",
    )
