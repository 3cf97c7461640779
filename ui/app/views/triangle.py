"""Plan: how many GPUs, and what will it cost?"""

import streamlit as st
from ui.app.frame import ask, current, live, progress
from ui.app.jobs import evaluation
from ui.app.designs import design, kinds, own_kind


def main():
    scene = current()

    def draw():
        t = [evaluation(design(scene, own_kind(scene), scene.bar.replicas, coarse=c)) for c in (True, False)]
        a = ask("t", t)
        st.write([x.state for x in a], [x.problem for x in a], [k.name for k in kinds(scene)])
        return progress(a, "simulations")

    live(draw)


main()
