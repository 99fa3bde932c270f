"""Every setting of a training and its comparison: the keys, and how a file becomes a resolved config."""

from movielora.config.keys import Config, InferenceConfig
from movielora.config.resolve import ResolvedConfig, resolve_config

__all__ = ["Config", "InferenceConfig", "ResolvedConfig", "resolve_config"]
