"""The kinds of record, their MESSAGE_IDs and priorities: an interface that scripts and catalogs rely on."""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = ["Kind", "Priority"]


class Priority(IntEnum):
    """syslog's levels, as the journal's PRIORITY field has them."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Kind(Enum):
    """One member a kind of record: (slug, MESSAGE_ID, priority). An id is never reused and never changed."""

    DUPLICATE_FOUND = ("duplicate-found", "831076afaad142999a1cf1d0bbb774f7", Priority.NOTICE)
    RELATED_FOUND = ("related-found", "3f22af80c3744d51adece189ccaeb48d", Priority.INFO)
    QUARANTINED = ("quarantined", "abe79f3f4d954b728abec620f18b0d52", Priority.NOTICE)
    QUARANTINE_FAILED = ("quarantine-failed", "02ddde20739546348e97611b75039a84", Priority.WARNING)
    RESTORED = ("restored", "8f2277af0d334f70b284902c17ca57f4", Priority.NOTICE)
    PURGED = ("purged", "673d93024d8a4e99a92a8de269d8bdda", Priority.NOTICE)
    BREAKER_OPEN = ("breaker-open", "3c31f77d023442528ad73042bf10c3d0", Priority.CRITICAL)
    HOOK_FAILED = ("hook-failed", "118d9a2b42764a9097a33228af4db327", Priority.WARNING)
    FILE_FAILED = ("file-failed", "a61d5ded2a384021b6188170e986c3c8", Priority.WARNING)
    EVENTS_LOST = ("events-lost", "840215acbaea4d04a47add6d514cccc8", Priority.WARNING)
    RESCAN_DONE = ("rescan-done", "c77f5316fdb740efb40bdae40f9c879f", Priority.INFO)
    WATCH_LIMIT = ("watch-limit", "bbcf905e44e14e248d65a1be07c3b598", Priority.WARNING)
    ROOT_OFFLINE = ("root-offline", "1bf049e76741457b975abd542a765eba", Priority.WARNING)
    ROOT_BACK = ("root-back", "f68571bf90ed4bf9be350e5fc5893e33", Priority.NOTICE)
    UNREADABLE = ("unreadable", "bebbbb4198a941af9ea4f2ef2519b88e", Priority.WARNING)
    HANDLER_ERROR = ("handler-error", "c8850c00b5014968bb8217124a7c2962", Priority.ERROR)
    SPACE_MISMATCH = ("space-mismatch", "fdd0630405034816aaa7af9e510469d8", Priority.WARNING)
    MODEL_LOADED = ("model-loaded", "199558f6487d435db4ad2aa3ac65d3ba", Priority.INFO)
    READY = ("ready", "319f231c321542128cb2785b997e88fc", Priority.INFO)
    STOPPING = ("stopping", "3228bded609b4f36896bf1b5abb87d44", Priority.INFO)
    STORE_SET_ASIDE = ("store-set-aside", "3ee86ab2e1ef4ac48217d3d6548dc9b1", Priority.WARNING)
    STORE_UNAVAILABLE = ("store-unavailable", "a808d9d60fc1452a90674c0ea1f8c304", Priority.WARNING)
    STORE_BACK = ("store-back", "3dd2cc7a58794ff1b208e3dbbcf45d27", Priority.NOTICE)
    RELOADED = ("reloaded", "64d0f069b40b4191996e2d971fea7ac4", Priority.NOTICE)
    RELOAD_REFUSED = ("reload-refused", "39ed06e1235742de949d24ef5b61303b", Priority.WARNING)
    STAGE_HUNG = ("stage-hung", "60845db010334523a2c93c5c8ded7c8d", Priority.CRITICAL)
    DIGEST = ("digest", "422ab31e5071405cb71e431d3917d0bf", Priority.NOTICE)
    FATAL = ("fatal", "e5456f03e55f47bab259f94d2cbf1d27", Priority.CRITICAL)
    NOTICE = ("notice", "aae9da5503d74c82bb05fd9596bc4817", Priority.INFO)

    def __init__(self, slug: str, message_id: str, priority: Priority) -> None:
        self.slug = slug
        self.message_id = message_id
        self.priority = priority

    @classmethod
    def from_slug(cls, slug: str) -> Kind:
        """The kind of that slug; a slug that no kind has is a plain NOTICE, so that nothing goes unsaid."""
        return next((kind for kind in cls if kind.slug == slug), cls.NOTICE)
