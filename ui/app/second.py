"""Which second model a fleet is restarted with, asked alike on every page that has that stress."""

import streamlit as st

from sim import catalog
from ui.app.scene import Scene
from ui.app.words import WORDS

NONE = "none"
USUAL = ("deepseek-r1-distill-llama-70b", "deepseek-llm-67b")
"""Of about the same size."""


def second_model(scene: Scene, width: int) -> str | None:
    """Draw the choice, `width` pixels wide; returns a catalogue id, or None."""
    models = [NONE, *catalog.model_ids()]
    usual = next(one for one in USUAL if one != scene.loaded.scenario.model)
    chosen: str = st.selectbox(
        "Second model",
        models,
        models.index(usual),
        key="second",
        bind="query-params",
        help=WORDS["second_model"],
        width=width,
    )
    return None if chosen == NONE else chosen
