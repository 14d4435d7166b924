"""Facts that tell calls apart that look alike, kept in the file only where some do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from pytest_agenttape.matching.instances import number_of
from pytest_agenttape.matching.namesakes import function_of
from pytest_agenttape.model import JSON, Interaction

#: The job that made the call, the function that was called, and the job with its function's name, which is in no file.
TELLING = ("job", "function", "work")

Finished: TypeAlias = dict[tuple[object, ...], tuple[Interaction, Interaction]]


def with_needed_facts(interactions: Sequence[Interaction], finished: Finished) -> list[Interaction]:
    """Return *interactions* with the facts that are needed; what was made of them before is in *finished*.

    A job is, where several made one call, and where there are several instances. It has the name of its function if a
    job of another one has its number.
    """
    jobs, functions, instances, works = (defaultdict[object, set[object]](set) for _ in range(4))
    for each in interactions:
        jobs[_asked(each)].add(each.metadata.get("work") or each.job)
        functions[each.boundary].add(function_of(each))
        instances[each.boundary].add(number_of(each))
        works[each.boundary, each.job].add(each.metadata.get("work"))
    kept = []
    for each in interactions:
        needs = {
            "job": len(instances[each.boundary]) > 1 or len(jobs[_asked(each)] - {None}) > 1,
            "function": len(functions[each.boundary] - {None}) > 1,
        }
        facts = {name: each.metadata[name] for name in TELLING if name in each.metadata and needs.get(name)}
        if "job" in facts and len(works[each.boundary, each.job] - {None}) > 1:
            facts["job"] = each.metadata.get("work") or each.job
        kept.append(_with(facts, each, finished))
    return kept


def _with(facts: dict[str, JSON], recorded: Interaction, finished: Finished) -> Interaction:
    if facts == {name: each for name, each in recorded.metadata.items() if name in TELLING}:
        return recorded
    key = (*facts.items(), id(recorded))
    if key not in finished:
        metadata = {name: each for name, each in recorded.metadata.items() if name not in TELLING}
        finished[key] = recorded, replace(recorded, metadata={**metadata, **facts})
    return finished[key][1]


def _asked(recorded: Interaction) -> tuple[object, ...]:
    return recorded.kind, recorded.boundary, recorded.match_key
