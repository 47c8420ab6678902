"""Equal bytes are decoded once, whatever the order in which their files are hashed, committed and released."""

from __future__ import annotations

import random

from deepdupe_daemon.model import FileIdentity, FileKey
from deepdupe_daemon.service.claims import Claims, Follower


def key(name: bytes) -> FileKey:
    return FileKey(b"/" + name, FileIdentity(1, 2, 3, 4))


def test_the_first_of_equal_bytes_leads_and_the_others_are_given_back_in_order() -> None:
    told: list[Follower] = []
    claims = Claims(lambda _digest: False, told.append)
    assert claims.claim(1, key(b"a"), b"D")
    assert not claims.claim(2, key(b"b"), b"D")
    assert not claims.claim(3, key(b"c"), b"D")
    assert claims.claim(4, key(b"d"), b"E")
    assert claims.release(1) == ((2, key(b"b"), b"D"), (3, key(b"c"), b"D"))
    assert claims.release(1) == ()
    assert told == []


def test_known_bytes_need_no_decode_and_are_told_of() -> None:
    told: list[Follower] = []
    claims = Claims({b"D"}.__contains__, told.append)
    assert not claims.claim(7, key(b"a"), b"D")
    assert told == [(7, key(b"a"), b"D")]
    assert claims.release(7) == ()


def test_a_leader_whose_worker_crashed_may_claim_again() -> None:
    claims = Claims(lambda _digest: False, lambda _follower: None)
    assert claims.claim(1, key(b"a"), b"D")
    assert claims.claim(1, key(b"a"), b"D")
    assert not claims.claim(2, key(b"b"), b"D")
    assert [follower[0] for follower in claims.release(1)] == [2]


def test_in_any_order_each_digest_is_decoded_once_and_each_file_ends_once() -> None:
    for seed in range(50):
        dice = random.Random(seed)
        committed: set[bytes] = set()
        ended: list[int] = []
        claims = Claims(committed.__contains__, lambda follower: ended.append(follower[0]))  # noqa: B023 - used in this round
        decoding: dict[int, bytes] = {}
        decoded: list[bytes] = []
        waiting = [(i, bytes([dice.randrange(5)])) for i in range(40)]
        while waiting or decoding:
            if waiting and (not decoding or dice.random() < 0.6):
                file_id, digest = waiting.pop()
                if claims.claim(file_id, key(b"%d" % file_id), digest):
                    decoding[file_id] = digest
                    decoded.append(digest)
            else:
                file_id = dice.choice(list(decoding))
                committed.add(decoding.pop(file_id))
                ended += [file_id, *(follower[0] for follower in claims.release(file_id))]
        assert sorted(ended) == list(range(40))
        assert len(decoded) == len(set(decoded))
