"""A claim that no article makes, with evidence of every kind."""

from collections.abc import Mapping

from sim.audit.answer import Answer
from sim.audit.claim import Claim, Input, Span, Words
from sim.audit.evidence import Curve, Evidence, Figure, Reading, Rests, exact
from sim.audit.influence import influences
from sim.audit.lab import Lab
from sim.audit.verdict import rule
from sim.stats import t_interval

CLAIM = Claim(
    id="C99",
    sentence=Words(en="Water <boils> at 100 degrees | everywhere.", zh="水在任何地方都在 100 度沸腾。"),
    unit="°C",
    claimed=Span(low=95, high=105),
    claimed_words="100 °C",
    definition=Words(en="At a height.", zh="在某个高度。"),
    inputs={
        "height": Input(value=0, low=0, high=3000, unit="m", words=Words(en="height", zh="高度"), source="made up"),
        "colour": Input(value=1, low=0, high=9, unit="", words=Words(en="colour", zh="颜色"), source="made up"),
        "salt": Input(value=0, low=0, high=1, unit="mol/kg", words=Words(en="salt", zh="盐"), source="made up"),
    },
    true_if=Words(en="Stay below {boils:.1f} degrees.", zh="低于 {boils:.1f} 度。"),
)


def boils(lab: Lab, x: Mapping[str, float]) -> Evidence:
    at = 100 - x["height"] / 300 + 0.5 * x["salt"]
    first = Reading(
        "boils", Words(en="at that height", zh="该高度"), Rests.OWN, exact(at), "°C", Span(low=95, high=105)
    )
    if lab.coarse:
        return Evidence((first,))
    others = (
        Reading(
            "kettle",
            Words(en="in a kettle", zh="水壶"),
            Rests.OTHER,
            t_interval([99.0, 100.0, 101.0]),
            "°C",
            Span(high=103),
        ),
        Reading("steel", Words(en="steel", zh="钢"), Rests.CONTEXT, exact(2870.0), "°C"),
    )
    figure = Figure(
        Words(en="Boiling point by height", zh="沸点"),
        Words(en="height, m", zh="高度, m"),
        Words(en="boiling point, °C", zh="沸点, °C"),
        (Curve(Words(en="water", zh="水"), [0, 1500, 3000], [100, 95, 90], [99, 94, 89], [101, 96, 91]),),
    )
    return Evidence((first, *others), figure)


def answered(**inputs: float) -> Answer:
    x = {name: one.value for name, one in CLAIM.inputs.items()} | inputs
    evidence = boils(Lab(), x)
    return Answer(
        CLAIM, x, evidence, rule(evidence.readings, qualitative=False), influences(CLAIM, boils, Lab().rough, x)
    )
