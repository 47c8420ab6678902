"""From bytes to pixels and what is made of them; runs in the workers alone, and imports nothing that it does not use
there.

`source` reads and hashes, `opening` picks the decoder, `raster` decodes at the scale that is needed, `sight` makes
everything of that one decode (`axis` and `resample` do the resizing), `digest` and `picture` serve proofs. Whatever the
bytes are, each of them gives a result or raises `refusal.Refusal`.
"""
