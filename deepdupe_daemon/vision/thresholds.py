"""From which similarity on two pictures of a space are candidates, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Threshold"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cosine similarity and its source. A value that nobody has measured on known copies is `uncalibrated`:

    what it finds is `related` until the pixels prove more, or until `calibrate` has run on the user's own photos.
    """

    similarity: float
    status: Literal["published", "configured", "uncalibrated"]
    source: str


#: ThreatExchange's PDQ page: distance <= 31 of 256, so 1 - 2 * 31 / 256
PDQ_PUBLISHED = Threshold(1 - 2 * 31 / 256, "published", "Meta ThreatExchange, PDQ: Hamming distance <= 31 of 256")

#: sscd-copy-detection README: 0.75 is 90 % precision on DISC, for disc_mixup alone
SSCD_PUBLISHED = Threshold(0.75, "published", "SSCD README: 90 % precision on DISC21 for disc_mixup")

SSCD_BY_ANALOGY = Threshold(0.75, "uncalibrated", "the value published for sscd-disc-mixup; none exists for this model")

#: in use for ViT-B-32 with openai weights: 0.95 (openai/CLIP#260), 0.94 (clip-retrieval), 0.99 (Immich); none measured
CLIP_IN_USE = Threshold(0.95, "uncalibrated", "in use by people for ViT-B-32 (openai/CLIP#260); no measured value")

DINOV3_IN_USE = Threshold(0.90, "uncalibrated", "in use by people for ViT-L; no measured value")

NOBODYS = Threshold(0.95, "uncalibrated", "a guess: nothing is known of this model")
