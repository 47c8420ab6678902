"""Watch folders for new images and say, within moments, which of them you already have.

A file arrives, settles, is seen, recalled, judged, and the judgement is carried out. The rooms follow this sentence;
`deepdupe_daemon/README.md` is the architecture page.
"""

__version__ = "0.1.0"
