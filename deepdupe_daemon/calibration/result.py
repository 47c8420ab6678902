"""What a calibration comes to. Frozen; JSON-safe through `to_dict` and `from_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from deepdupe_daemon.calibration.interval import Interval
from deepdupe_daemon.model import SpaceKey

__all__ = ["Calibration", "Measured", "Rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens at one threshold. Shares are 0 to 1, intervals hold 95 %."""

    threshold: float
    precision: float
    precision_interval: Interval
    recall: float  # of re-encoded copies, every kind alike
    recall_interval: Interval
    recall_edited: float  # of edited copies, every kind alike
    by_copy: Mapping[str, float]  # recall by name of the copy
    false_per_10k: float  # other photos proposed per 10,000 new photos, in a library of the sample's size
    false_interval: Interval  # new photos of 10,000 for which any other is proposed
    false_per_10k_library: float  # at most, in the library that the sample was taken from
    bursts: int  # pairs of shots taken within seconds of each other
    bursts_proposed: float  # the share of them that is proposed


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to score a space: similarities as they are, or normalised by their neighbourhood.

    `estimate`, `low` and `high` are `curve.Threshold`'s; `rates` are those at `threshold`, the one to use: `high` where
    the sample is large enough to prove the wanted precision, else `curve.Curve.safest`.
    None where no threshold finds anything.
    """

    estimate: float | None
    low: float | None
    high: float | None
    rates: Rates | None

    @property
    def proven(self) -> bool:
        return self.high is not None

    @property
    def threshold(self) -> float | None:
        return self.rates.threshold if self.rates is not None else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """One space on one person's photos."""

    space: SpaceKey
    wanted: float  # precision, 0 to 1
    photos: int  # the sample
    library: int  # files that it was taken from
    seed: int
    made_at_ns: int
    version: str  # of this program
    raw: Measured
    normalised: Measured
    images_per_s: float  # decoded and embedded one after another
    memory_bytes: int  # resident, of the loaded model; 0 where it needs none to speak of
    row_bytes: int  # a photo in the index
    copies_left_out: int  # pairs of the sample that the verifier found to be copies: no negatives

    @property
    def fingerprint(self) -> str:
        return self.space.fingerprint()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "name": self.space.name, "fingerprint": self.fingerprint}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError, ValueError for what `to_dict` did not write."""
        values = {key: value for key, value in raw.items() if key not in ("name", "fingerprint")}
        values["space"] = SpaceKey(**raw["space"])
        for kind in ("raw", "normalised"):
            values[kind] = _measured(raw[kind])
        return cls(**values)


def _measured(raw: Mapping[str, Any]) -> Measured:
    rates = raw["rates"]
    if rates is not None:
        intervals = {key: Interval(**value) for key, value in rates.items() if key.endswith("_interval")}
        rates = Rates(**{**rates, **intervals})
    return Measured(**{**raw, "rates": rates})
