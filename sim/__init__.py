"""Simulator of vLLM fleets: it knows nothing of vllm, torch, streamlit or plotly."""
