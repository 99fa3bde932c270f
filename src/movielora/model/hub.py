"""Models by name on the Hugging Face hub: asked shortly first, because its client tries for up to two minutes."""

from __future__ import annotations

import functools
import queue
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from movielora.errors import ModelError, first_line, shell_command
from movielora.model.folder import WEIGHTS_INDEX, base_hash, weight_files

_SECONDS = 5.0
_TOKENIZER = "tokenizer.json"
_NEITHER = "it is neither a folder nor a Hugging Face name"
_REFUSALS = {
    401: "the hub has no such model, or wants a token for it (HTTP 401)",
    404: "the hub has no such model (HTTP 404)",
}


def is_hub_name(name: str) -> bool:
    """`owner/name`, as the hub writes it, and no path."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name))


def is_cached(name: str) -> bool:
    """Whether the cache holds the complete model: its config, tokenizer and every file of its weights."""
    if not is_hub_name(name) or not all(_cached_file(name, file) for file in ("config.json", _TOKENIZER)):
        return False
    index = _cached_file(name, WEIGHTS_INDEX)
    if index is None:
        return _cached_file(name, "model.safetensors") is not None
    try:
        return all(_cached_file(name, file.name) for file in weight_files(index.parent))
    except ModelError:  # a damaged index: as good as none
        return False


def cache_folder() -> Path:
    """The folder that downloaded models are kept in."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def bytes_in_cache(name: str) -> int:
    """Bytes of the files of `name` that are complete in the cache."""
    blobs = cache_folder() / f"models--{name.replace('/', '--')}" / "blobs"
    return sum(file.stat().st_size for file in blobs.glob("*") if file.suffix != ".incomplete")


def is_tokenizer_cached(name: str) -> bool:
    return _cached_file(name, _TOKENIZER) is not None


def stays_local(source: str, is_here: Callable[[str], bool] = is_cached) -> bool:
    """Whether `source` must be read from this machine only: a folder, or what `is_here` while the hub does not answer.

    transformers would wait two minutes for a hub that does not answer, even about files that the cache holds.
    Raises ModelError if it is neither here nor reachable.
    """
    if Path(source).is_dir():
        return True
    problem = why_unreachable(source) if is_hub_name(source) else _NEITHER
    if not problem:
        return False
    if is_hub_name(source) and is_here(source):
        return True
    raise ModelError(
        f"the model {source} is not on this machine and cannot be fetched: {problem}", way_out(source, problem)
    )


def why_unreachable(name: str) -> str:
    """Ask the hub for the model's config by HTTP HEAD: why it does not answer, empty if it does.

    After five seconds that is the answer, however many addresses the hub's name has: a firewall that drops
    packets would cost a timeout for each. A process asks once for a name and keeps the answer.
    """
    from huggingface_hub import constants

    return "offline mode is on" if constants.HF_HUB_OFFLINE else _answer(name)


@functools.cache
def _answer(name: str) -> str:
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_ask(name)), daemon=True).start()
    try:
        return answers.get(timeout=_SECONDS)
    except queue.Empty:
        return f"no answer within {_SECONDS:.0f} seconds"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is answer enough, and following it would carry the user's token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _ask(name: str) -> str:
    try:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(name, "config.json")
        request = urllib.request.Request(url, method="HEAD", headers=build_hf_headers())  # noqa: S310 (the hub's URL)
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code < 400 else _REFUSALS.get(error.code, f"the hub answers HTTP {error.code}")
    except Exception as error:  # noqa: BLE001 - HF_ENDPOINT may be no address, and whatever it is, it is the answer
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return ""  # somebody answers, and the hub's client has certificates of its own
        return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def config_file(name: str) -> Path:
    """The cached config.json of a Hugging Face name, or a fresh one; only that file is fetched.

    Raises ModelError if it is neither here nor reachable.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    cached = _cached_file(name, "config.json") if is_hub_name(name) else None
    if cached is not None:
        return cached
    problem = why_unreachable(name) if is_hub_name(name) else _NEITHER
    try:
        if not problem:
            return Path(hf_hub_download(name, "config.json"))
    except (HfHubHTTPError, OSError) as error:
        problem = first_line(error)
    raise ModelError(f"the model {name} has no config.json here: {problem}", way_out(name, problem))


def way_out(name: str, problem: str) -> str:
    """What to do about a model that cannot be fetched, as `problem` says."""
    if not is_hub_name(name):
        return "set model_name_or_path to a model folder, a Hugging Face name such as Qwen/Qwen3-0.6B, or tiny"
    if problem in _REFUSALS.values():
        return f"correct model_name_or_path; if {name} is gated or private: hf auth login"
    folder = f"models/{name.partition('/')[2]}"
    fetch = shell_command("hf", "download", name, "--local-dir", folder)
    return (
        f"connect to the network; or, where there is one, {fetch}, copy the folder here, and add: "
        f"{shell_command('--set', f'model_name_or_path={folder}')}"
    )


def _cached_file(name: str, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file)
    return Path(found) if isinstance(found, str) else None


def hash_if_here(base: str) -> str:
    """`base_hash` of a folder, or of a Hugging Face name whose weights are in the cache; else the name itself.

    Raises ModelError if a file cannot be read.
    """
    if is_hub_name(base) and not Path(base).is_dir() and is_cached(base):
        return base_hash(str(config_file(base).parent))
    return base_hash(base)
