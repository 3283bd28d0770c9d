"""retriever.library-ray: a library whose files are read and cut on a Ray cluster."""

from __future__ import annotations

import attrs
import dougong_retriever_library
from dougong import Library, Technique, hookimpl


@attrs.frozen
class Params(dougong_retriever_library.Params):
    """A library of documents, read on a cluster.

    sources, path, loader, chunker, index, ignore, max_megabytes: as `retriever.library` has them.
    workers: groups of files (256 kB or 32 files each) that the cluster has at once; None: two a processor of it.
    address: the cluster, as ``ray.init`` takes it (``auto``, ``10.0.0.7:6379``); ``local``: one of this machine alone,
        started for the sync and ended with it.
    from_megabytes: less to read than this is read in this process (1 megabyte = 1,000,000 bytes).
    """

    address: str = "local"
    from_megabytes: float = attrs.field(default=2.0, validator=attrs.validators.ge(0))


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "library-ray",
            Params,
            "dougong_retriever_library_ray.cluster:library",
            summary="retriever.library, its files read and cut by tasks of a Ray cluster.",
            source="Moritz et al. 2018, Ray: A Distributed Framework for Emerging AI Applications",
            protocol=Library,
        )
    ]
