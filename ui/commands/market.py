"""`trilemma market`: what spot costs less, and how often its nodes are taken back, as far as the catalogue knows."""

from textwrap import wrap

from sim import catalog
from sim.catalog.discounts import distribution

CLAIM = 76.0
"""Per cent: the discount that the audited article gives for p4d.24xlarge."""
_WIDTH = 80


def market(instance: str | None) -> int:
    """Print the distribution of spot discounts (of one instance type, or all known) and the hazard presets.

    Raises:
        InputError: no discounts are known of the instance.
    """
    instances = catalog.discounted_instances() if instance is None else (instance,)
    known = [catalog.spot_discounts(one) for one in instances]
    print("Spot discounts, % of the zone's on-demand price, by zone at one moment")
    for one in known:
        found = distribution(one)
        low, middle, high = found.quartiles
        print(f"\n{one.instance} ({one.gpu}), {found.n} zones")
        _line("mean", f"{found.mean:.1f}")
        _line("quartiles", f"{low:.1f}, {middle:.1f}, {high:.1f}")
        _line("range", f"{found.percent[0]:.1f} to {found.percent[-1]:.1f}")
        _line(f"{CLAIM:g} or more", f"in {found.at_least(CLAIM)} of {found.n} zones (the audited article's discount)")
        for percent, what in ((0.0, "spot at the on-demand price"), (90.0, "spot at a tenth of it")):
            zones = [zone for zone, value in found.flagged.items() if round(value) == percent]
            if zones:
                _line(f"left out: {percent:g}", f"{len(zones)} ({what}): {', '.join(zones)}")
        _line("source", f"{one.source}; {one.date}")
    print("\nHow often spot nodes are taken back (spot.reclaims.preset)")
    print(f"  {'preset':<20}{'mean life, h':>14}{'nodes a reclaim':>17}{'outage, s':>11}")
    for preset_id in catalog.spot_preset_ids():
        preset = catalog.spot_preset(preset_id)
        life, nodes, outage = preset.mean_life_hours, preset.nodes_per_event, preset.mean_outage_s
        print(f"  {preset.id:<20}{life:>14,.1f}{nodes:>17.1f}{outage:>11.0f}")
    return 0


def _line(label: str, value: str) -> None:
    first, *others = wrap(value, _WIDTH - 20)
    print(f"  {label:<18}{first}")
    for other in others:
        print(f"{'':<20}{other}")
