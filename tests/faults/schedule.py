"""Plans of worlds: what they consist of and which faults happen to them, all drawn from a seed."""

import collections
import random

import kinds_limits  # noqa: F401 (the kinds register themselves)
import kinds_segment  # noqa: F401
import kinds_ways  # noqa: F401
from kinds import KINDS

# A fault of a world: its number there, its kind and target, seconds that it waits for after the one
# before, and lasts at least; and the seed of whatever else it draws.
Fault = collections.namedtuple("Fault", "number kind target offset duration seed")
Plan = collections.namedtuple(
    "Plan", "seed index topology window warm_up workers receive clocks every sanitized steps")

TOPOLOGIES = "alone", "relay", "engine", "alone"
PER_WORLD = 20  # faults
LONG = 0.06  # of the faults that readers notice when they are long, this part is


def plan(seed, index, faults, only=(), sanitized=False):
    """Draw the world of this index, with so many faults, of these kinds if any are given."""
    draw = random.Random(f"{seed} {index}")
    topology = TOPOLOGIES[index % len(TOPOLOGIES)]
    head = {"window": draw.choice((10, 15, 40)), "warm_up": draw.choice((3, 5)),
            "workers": draw.choice((1, 2)), "receive": draw.choice(("io_uring", "recvmmsg")),
            "clocks": draw.random() < 0.5 and not sanitized}
    usable = [kind for kind in KINDS.values() if topology in kind.targets and not (
        only and kind.name not in only) and not (sanitized and not kind.sanitized) and (
            head["clocks"] or kind.name != "wall clock stepped")]
    steps, number = [], 0
    while usable and number < faults:
        step = draw_step(draw, usable, topology, number, min(draw.choice((1, 1, 2, 3)), faults - number))
        steps.append(step)
        number += len(step)
    return Plan(seed=seed, index=index, topology=topology, every=20 if sanitized else 8,
                sanitized=sanitized, steps=steps, **head)


def draw_step(draw, usable, topology, number, most):
    """Draw faults that may overlap: none of two has the same target, or needs the same thing."""
    step, taken = [], set()
    for _ in range(most):
        chosen = draw.choice(usable)
        target = draw.choice(chosen.targets[topology])
        offset, short, is_long = draw.uniform(0, 0.15), draw.uniform(0, 0.25), draw.random() < LONG
        seed = draw.randrange(1 << 32)
        claims = {target, *chosen.claims} - {""} | ({chosen.name} if not target else set())
        if any(one.startswith(other) for one in claims for other in taken) or any(
                other.startswith(one) for one in claims for other in taken):
            continue
        taken |= claims
        duration = chosen.long * draw.uniform(0.9, 1.1) if is_long and chosen.long else short
        step.append(Fault(number + len(step) + 1, chosen.name, target, round(offset, 3),
                          round(duration, 3), seed))
    return step
