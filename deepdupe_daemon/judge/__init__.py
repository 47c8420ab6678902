"""judged: from evidence to a verdict. Pure: no I/O, no threads, no clock.

Promises: `decide` is symmetric and deterministic; a stronger proof never yields a weaker class; an automatic class
(identical bytes, identical pixels, re-encoded) never comes with a veto; embeddings propose and only pixels prove.
"""

from __future__ import annotations

from deepdupe_daemon.judge.bundle import Bundle, BundleFile, bundles, same_bundle, shot_name
from deepdupe_daemon.judge.evidence import JudgePolicy, PairEvidence, Proof, Ruling
from deepdupe_daemon.judge.extensions import MOVIE, PICTURE, RAW, SIDECAR, extension
from deepdupe_daemon.judge.group import Bond, Group, anchored_groups, bond_of
from deepdupe_daemon.judge.keeper import BEST_RULES, DEFAULT_RULES, Member, choose_keeper, keeper_rules, preference
from deepdupe_daemon.judge.ruling import DEFAULT_POLICY, decide, needs, proposed
from deepdupe_daemon.judge.scores import normalised
from deepdupe_daemon.judge.verifier import PICTURE_SIDE_PX, compare_pictures, draw_comparison, draw_pair
from deepdupe_daemon.judge.veto import low_information_vetoes, shot_vetoes

__all__ = [
    "BEST_RULES",
    "DEFAULT_POLICY",
    "DEFAULT_RULES",
    "MOVIE",
    "PICTURE",
    "PICTURE_SIDE_PX",
    "RAW",
    "SIDECAR",
    "Bond",
    "Bundle",
    "BundleFile",
    "Group",
    "JudgePolicy",
    "Member",
    "PairEvidence",
    "Proof",
    "Ruling",
    "anchored_groups",
    "bond_of",
    "bundles",
    "choose_keeper",
    "compare_pictures",
    "decide",
    "draw_comparison",
    "draw_pair",
    "extension",
    "keeper_rules",
    "low_information_vetoes",
    "needs",
    "normalised",
    "preference",
    "proposed",
    "same_bundle",
    "shot_name",
    "shot_vetoes",
]
