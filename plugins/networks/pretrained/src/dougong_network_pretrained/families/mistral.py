"""Jiang et al. 2023: Llama's names, a sliding window in every layer."""

from dougong_network_pretrained.families.llama import IGNORED, KEYS, NETWORK, tree, unlike

__all__ = ["IGNORED", "KEYS", "NETWORK", "tree", "unlike"]
