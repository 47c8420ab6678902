"""From a model's configuration to a plan: which files, preprocessing and embeddings. Nothing here imports torch.

A plan is made before the decoding workers start, for they must know what to prepare; the forward thread carries it out.
"""
