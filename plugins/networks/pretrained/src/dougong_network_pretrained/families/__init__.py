"""One module a family, named as transformers' ``model_type``.

Each has ``NETWORK``, the technique that it is assembled by; ``tree(config)``, that network's params out of the
checkpoint's config; ``KEYS``, its key names and ours, in order: ``(theirs, ours)`` renames a part of a key,
``(theirs, ours, "transposed")`` turns a matrix, ``(theirs, [ours, ...], "split")`` cuts one into equal parts along its
outputs and ``"transposed-split"`` does both; ``IGNORED``, patterns of keys that hold no weights; ``unlike(config)``,
options that blocks do not have, by name, True where the checkpoint uses one; and ``TRAINS_PAD``, whether the vector of
the padding token has a gradient (False if absent).
"""
