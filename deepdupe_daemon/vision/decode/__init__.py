"""From the bytes of a file to upright pixels and all that is made of them; runs in a worker process only."""
