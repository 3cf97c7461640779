"""Colours: the colour-blind tell them apart, and lines of limits are seen on both backgrounds."""

from itertools import combinations

import numpy as np
import pytest

from ui.app import theme

DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
"""Machado, Oliveira & Fernandes 2009, severity 1, of linear RGB."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def _linear(colour: str) -> np.ndarray:
    of = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(of <= 0.04045, of / 12.92, ((of + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(TO_XYZ @ linear.clip(0) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _contrast(one: str, other: str) -> float:
    dark, bright = sorted(float(TO_XYZ[1] @ _linear(colour)) for colour in (one, other))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA], ids=["usual", "deuteranopia"])
def test_colours_of_designs_differ(eye: np.ndarray) -> None:
    for one, other in combinations(theme.COLOURS, 2):
        apart = np.linalg.norm(_lab(eye @ _linear(one)) - _lab(eye @ _linear(other)))
        assert apart > 10, (one, other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_limits_rings_and_text_stand_out(scheme: str) -> None:
    behind = str(theme.STREAMLIT[f"theme.{scheme}.backgroundColor"])
    assert _contrast(theme.LIMIT, behind) > 4
    assert _contrast(theme.MUTED, behind) > 3
    assert _contrast(str(theme.STREAMLIT[f"theme.{scheme}.textColor"]), behind) > 7
