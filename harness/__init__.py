"""Runs the real vLLM and measures it; the only importer of vllm and torch, lazily."""
