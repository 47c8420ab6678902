"""The tables, as numbered steps. A step that was released is never edited: the next one changes what it made.

Identity numbers are of type ANY: `st_ino` of FUSE and CIFS mounts exceeds 63 bits, and so does the mtime of a file
dated after 2262; those rest as decimal text (`identity_column`).
"""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

__all__ = ["APPLICATION_ID", "LIVING", "PAGE_BYTES", "STEPS", "identity_column", "vectors_table"]

#: "DDup" in ASCII: says that the SQLite file is a ledger
APPLICATION_ID = 0x44447570

#: A row of 1,024 float16 and its header is just over 2 KiB, so that a page of 4 KiB would hold one and be half empty.
PAGE_BYTES = 16384

#: the SQL of "this file is there and its vectors are known"; partial indexes are found only by this very text
LIVING = "state IN ('seen', 'indexed')"

_MAX_INTEGER = 2**63 - 1

_STEP_1 = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    image_id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    pixel_digest BLOB,
    living INTEGER NOT NULL DEFAULT 0 CHECK (living >= 0), -- files with these bytes that are there; kept by triggers
    pdq BLOB NOT NULL,
    pdq_quality INTEGER NOT NULL,
    pdq_variants BLOB NOT NULL,                            -- 8 x 32 bytes, or empty
    facts TEXT NOT NULL,
    first_seen_at_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE files (
    file_id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL,
    former INTEGER NOT NULL DEFAULT 0,                     -- 0: holds its path; own file_id: another file took the path
    root_length INTEGER NOT NULL,                          -- the root is this prefix of the path
    dev ANY NOT NULL,
    ino ANY NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns ANY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'seen', 'indexed', 'failed', 'ignored', 'gone')),
    was TEXT,                                              -- the state before it was gone
    image_id INTEGER REFERENCES images,
    lacks_vectors INTEGER NOT NULL DEFAULT 0,              -- 1: there, and to be seen again for a space that came later
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    error_kind TEXT,
    error TEXT,
    retry_at_ns INTEGER,
    arrived_at_ns INTEGER NOT NULL,
    CHECK (NOT ({LIVING}) OR image_id IS NOT NULL),
    CHECK (former = 0 OR (former = file_id AND state = 'gone'))
) STRICT;
CREATE UNIQUE INDEX files_path ON files (path, former);
CREATE INDEX files_identity ON files (ino, dev);
CREATE INDEX files_image ON files (image_id) WHERE {LIVING};
CREATE INDEX files_pending ON files (live DESC, file_id) WHERE state = 'pending';
CREATE INDEX files_lacking ON files (file_id) WHERE lacks_vectors = 1;
CREATE INDEX files_seen ON files (file_id) WHERE state = 'seen';
CREATE INDEX files_failed ON files (file_id) WHERE state = 'failed';
CREATE INDEX files_retry ON files (retry_at_ns) WHERE state = 'failed' AND retry_at_ns IS NOT NULL;

-- how many files are in each state: a progress bar must not scan a million rows
CREATE TABLE tally (
    state TEXT NOT NULL, live INTEGER NOT NULL, files INTEGER NOT NULL CHECK (files >= 0), PRIMARY KEY (state, live)
) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT s.column1, l.column1, 0
    FROM (VALUES ('pending'), ('seen'), ('indexed'), ('failed'), ('ignored'), ('gone')) s, (VALUES (0), (1)) l;
CREATE TRIGGER tally_insert AFTER INSERT ON files BEGIN
    UPDATE tally SET files = files + 1 WHERE state = new.state AND live = new.live;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF state, live ON files
WHEN new.state <> old.state OR new.live <> old.live BEGIN
    UPDATE tally SET files = files - 1 WHERE state = old.state AND live = old.live;
    UPDATE tally SET files = files + 1 WHERE state = new.state AND live = new.live;
END;

CREATE TABLE spaces (
    space_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    key TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    created_at_ns INTEGER NOT NULL
) STRICT;

-- Where a vector stands towards the collection, apart from its 2 KB, which are written once.
-- 0: wanted, not stored. 1: stored. 2: stored, no longer wanted. 3: neither.
-- An image whose last file goes turns 0 into 3 and 1 into 2; one that comes back turns them round.
CREATE TABLE marks (
    space_id INTEGER NOT NULL REFERENCES spaces,
    image_id INTEGER NOT NULL REFERENCES images,
    stored INTEGER NOT NULL CHECK (stored BETWEEN 0 AND 3),
    PRIMARY KEY (space_id, image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_unstored ON marks (space_id, image_id) WHERE stored = 0;
CREATE INDEX marks_unwanted ON marks (space_id, image_id) WHERE stored = 2;

CREATE TRIGGER file_lives AFTER UPDATE OF state, image_id ON files
WHEN (new.state IN ('seen', 'indexed')) <> (old.state IN ('seen', 'indexed')) OR new.image_id IS NOT old.image_id BEGIN
    UPDATE images SET living = living - 1 WHERE image_id = old.image_id AND old.state IN ('seen', 'indexed');
    UPDATE images SET living = living + 1 WHERE image_id = new.image_id AND new.state IN ('seen', 'indexed');
END;
CREATE TRIGGER image_lives AFTER UPDATE OF living ON images WHEN (new.living > 0) <> (old.living > 0) BEGIN
    UPDATE marks SET stored = 3 - stored
    WHERE image_id = new.image_id AND space_id IN (SELECT space_id FROM spaces);
END;

CREATE TABLE verdicts (
    verdict_id INTEGER PRIMARY KEY AUTOINCREMENT,
    class TEXT NOT NULL,
    duplicate_file_id INTEGER NOT NULL REFERENCES files,
    duplicate_image_id INTEGER NOT NULL REFERENCES images,
    duplicate_key TEXT NOT NULL,                           -- identity as JSON, as it was judged
    duplicate_path BLOB NOT NULL,
    duplicate_digest BLOB NOT NULL,
    keeper_file_id INTEGER NOT NULL REFERENCES files,
    keeper_image_id INTEGER NOT NULL REFERENCES images,
    keeper_key TEXT NOT NULL,
    keeper_path BLOB NOT NULL,
    keeper_digest BLOB NOT NULL,
    similarities TEXT NOT NULL,
    comparison TEXT,
    vetoes TEXT NOT NULL,
    keeper_rule TEXT NOT NULL,
    decided_at_ns INTEGER NOT NULL,
    first INTEGER NOT NULL,
    alerted_at_ns INTEGER,
    superseded_by INTEGER REFERENCES verdicts,
    closed_at_ns INTEGER,
    closed_reason TEXT,
    CHECK ((closed_at_ns IS NULL) = (closed_reason IS NULL)),
    CHECK (duplicate_file_id <> keeper_file_id OR closed_at_ns IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX verdicts_current ON verdicts (duplicate_file_id) WHERE closed_at_ns IS NULL;
CREATE INDEX verdicts_duplicate ON verdicts (duplicate_file_id);
CREATE INDEX verdicts_keeper ON verdicts (keeper_file_id) WHERE closed_at_ns IS NULL;
CREATE INDEX verdicts_unalerted ON verdicts (verdict_id) WHERE closed_at_ns IS NULL AND alerted_at_ns IS NULL;

CREATE TABLE not_duplicates (
    low BLOB NOT NULL, high BLOB NOT NULL, source TEXT NOT NULL, marked_at_ns INTEGER NOT NULL, PRIMARY KEY (low, high)
) STRICT, WITHOUT ROWID;
"""

_STEP_2 = """
-- Files that moved into quarantine, or back. A row outlives its action: it is what `restored before` is known by.
CREATE TABLE actions (
    action_id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,                            -- the name of its folder in `place`
    state TEXT NOT NULL CHECK (state IN
        ('intended', 'quarantined', 'abandoned', 'restoring', 'restored', 'purging', 'purged')),
    verdict_id INTEGER NOT NULL REFERENCES verdicts,
    class TEXT NOT NULL,
    evidence TEXT NOT NULL,
    place BLOB NOT NULL,
    intended_at_ns INTEGER NOT NULL,
    moved_at_ns INTEGER,
    changed_at_ns INTEGER NOT NULL,
    told_at_ns INTEGER,
    kind TEXT,
    reason TEXT
) STRICT;
CREATE INDEX actions_open ON actions (action_id) WHERE state IN ('intended', 'restoring', 'purging');
CREATE INDEX actions_untold ON actions (action_id) WHERE told_at_ns IS NULL AND state IN ('quarantined', 'restored');
CREATE INDEX actions_moved ON actions (moved_at_ns) WHERE moved_at_ns IS NOT NULL;
CREATE INDEX actions_verdict ON actions (verdict_id);

CREATE TABLE action_files (
    action_id INTEGER NOT NULL REFERENCES actions,
    position INTEGER NOT NULL,                             -- 0: the file that was judged
    path BLOB NOT NULL,
    root_length INTEGER NOT NULL,
    dev ANY NOT NULL,
    ino ANY NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns ANY NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    stored BLOB NOT NULL,
    keeper_path BLOB,
    keeper_root_length INTEGER,
    keeper_dev ANY,
    keeper_ino ANY,
    keeper_size INTEGER,
    keeper_mtime_ns ANY,
    keeper_digest BLOB,
    target BLOB,                                           -- where it was, or is being, restored to
    target_ino ANY,                                        -- the inode that came back there
    PRIMARY KEY (action_id, position),
    CHECK ((keeper_path IS NULL) = (keeper_digest IS NULL)),
    CHECK (position > 0 OR keeper_path IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX action_files_path ON action_files (path);
CREATE INDEX action_files_inode ON action_files (ino);
CREATE INDEX action_files_keeper ON action_files (keeper_path);
CREATE INDEX action_files_keeper_inode ON action_files (keeper_ino);
CREATE INDEX action_files_digest ON action_files (digest);
"""

_STEP_3 = """
-- Which verdicts are to be acted on, and what came of it: the durable queue of the carrying thread.
CREATE TABLE orders (
    verdict_id INTEGER PRIMARY KEY REFERENCES verdicts,
    root BLOB NOT NULL,                                    -- where the duplicate rests
    state TEXT NOT NULL CHECK (state IN ('wanted', 'held', 'quarantined', 'refused', 'dropped')),
    asked INTEGER NOT NULL CHECK (asked IN (0, 1)),        -- 1: a person asked for it
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at_ns INTEGER,
    reason TEXT,
    settled_at_ns INTEGER
) STRICT;
CREATE INDEX orders_open ON orders (verdict_id) WHERE state IN ('wanted', 'held');
CREATE INDEX orders_done ON orders (settled_at_ns) WHERE state = 'quarantined' AND asked = 0;
"""

_STEP_4 = """
-- What was found of two images, so that no pair of pictures is compared twice.
CREATE TABLE pairs (
    low_image_id INTEGER NOT NULL REFERENCES images,
    high_image_id INTEGER NOT NULL REFERENCES images,
    proposed INTEGER NOT NULL CHECK (proposed IN (0, 1)),   -- 0: one was proposed for a copy of the other
    similarities TEXT NOT NULL,                            -- raw, by space
    normalised TEXT NOT NULL,
    same_pixels INTEGER,
    comparison TEXT,                                       -- from the lower id to the higher
    verifier INTEGER NOT NULL,                             -- which verifier compared them
    PRIMARY KEY (low_image_id, high_image_id),
    CHECK (low_image_id < high_image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pairs_high ON pairs (high_image_id);
"""

_STEP_5 = """
-- a file is asked whether it is the last copy of one that stays for another: by its bytes alone
CREATE INDEX action_files_keeper_digest ON action_files (keeper_digest) WHERE keeper_digest IS NOT NULL;
-- and a mark, whose restoration came to nothing: by what it was made for
CREATE INDEX not_duplicates_source ON not_duplicates (source);
"""

#: step n (counted from 1) takes a ledger from schema n - 1 to schema n
STEPS: tuple[str, ...] = (_STEP_1, _STEP_2, _STEP_3, _STEP_4, _STEP_5)


def vectors_table(space_id: int) -> str:
    """The table that holds a space's float16 rows. Generated from a number, so that no name ever reaches the SQL."""
    return f"vectors_{int(space_id)}"


def identity_column(number: int) -> int | str:
    """`number` as an identity column holds it: an integer where SQLite has room for it, else decimal text."""
    return number if -_MAX_INTEGER <= number <= _MAX_INTEGER else str(number)
