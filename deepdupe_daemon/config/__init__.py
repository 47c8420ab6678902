"""The configuration: one schema from which the sample file, the JSON schema, the checks and their messages come.

This room promises that a `Config` which `load_config` or `config_for_folders` returned is complete and usable: every
root is an existing folder with its symbolic links resolved, no root lies inside another or shares space with the state
dir, and every number is in its range. What is wrong is told all at once, each problem with its file, line and key. All
types are frozen and may be used by any thread. Nothing is read from the environment but through an argument.
"""

from __future__ import annotations

from deepdupe_daemon.config.chroma import ChromaConfig
from deepdupe_daemon.config.decoder import DecoderConfig
from deepdupe_daemon.config.folders import config_for_folders, user_state_dir, validated
from deepdupe_daemon.config.hooks import HOOK_EVENTS, HookConfig
from deepdupe_daemon.config.intake import IntakeConfig
from deepdupe_daemon.config.judging import AlertConfig, JudgeConfig
from deepdupe_daemon.config.load import load_config
from deepdupe_daemon.config.metrics import MetricsConfig
from deepdupe_daemon.config.model_choice import ModelConfig
from deepdupe_daemon.config.patterns import DEFAULT_EXCLUDE, DEFAULT_INCLUDE, PathFilter
from deepdupe_daemon.config.quarantine import ACTIONABLE, BreakerConfig, QuarantineConfig
from deepdupe_daemon.config.remembered import recall, remember
from deepdupe_daemon.config.roots import RootConfig
from deepdupe_daemon.config.sample import commented_yaml, describe, json_schema, sample_yaml
from deepdupe_daemon.config.schema import DEFAULT_STATE_DIR, Config
from deepdupe_daemon.config.searching import RecallConfig
from deepdupe_daemon.config.yaml_edit import with_values

__all__ = [
    "ACTIONABLE",
    "DEFAULT_EXCLUDE",
    "DEFAULT_INCLUDE",
    "DEFAULT_STATE_DIR",
    "HOOK_EVENTS",
    "AlertConfig",
    "BreakerConfig",
    "ChromaConfig",
    "Config",
    "DecoderConfig",
    "HookConfig",
    "IntakeConfig",
    "JudgeConfig",
    "MetricsConfig",
    "ModelConfig",
    "PathFilter",
    "QuarantineConfig",
    "RecallConfig",
    "RootConfig",
    "commented_yaml",
    "config_for_folders",
    "describe",
    "json_schema",
    "load_config",
    "recall",
    "remember",
    "sample_yaml",
    "user_state_dir",
    "validated",
    "with_values",
]
