"""Facts that tell calls apart that look alike, kept in the file only where some do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from pytest_agenttape.matching.instances import number_of
from pytest_agenttape.matching.namesakes import function_of
from pytest_agenttape.model import Interaction

#: The number of the job that made the call, the function that was called, and what the job runs, which is in no file.
TELLING = ("job", "function", "work")

Finished: TypeAlias = dict[tuple[object, ...], tuple[Interaction, Interaction]]


def with_needed_facts(interactions: Sequence[Interaction], finished: Finished) -> list[Interaction]:
    """Return *interactions* with the facts that are needed; what was made of them before is in *finished*.

    A job is, where several made one call, and where there are several instances: unless jobs of two functions, which
    may run beside each other, have its number.
    """
    jobs, functions, instances, works = (defaultdict[object, set[object]](set) for _ in range(4))
    for each in interactions:
        jobs[_asked(each)].add(each.job)
        functions[each.boundary].add(function_of(each))
        instances[each.boundary].add(number_of(each))
        works[each.boundary, each.job].add(each.metadata.get("work"))
    kept = []
    for each in interactions:
        tells_instance = len(instances[each.boundary]) > 1 and len(works[each.boundary, each.job] - {None}) < 2
        needs = {
            "job": tells_instance or len(jobs[_asked(each)] - {None}) > 1,
            "function": len(functions[each.boundary] - {None}) > 1,
        }
        needless = tuple(name for name in TELLING if name in each.metadata and not needs.get(name))
        kept.append(_without(needless, each, finished) if needless else each)
    return kept


def _without(facts: tuple[str, ...], recorded: Interaction, finished: Finished) -> Interaction:
    key = (*facts, id(recorded))
    if key not in finished:
        metadata = {name: value for name, value in recorded.metadata.items() if name not in facts}
        finished[key] = recorded, replace(recorded, metadata=metadata)
    return finished[key][1]


def _asked(recorded: Interaction) -> tuple[object, ...]:
    return recorded.kind, recorded.boundary, recorded.match_key
