"""Random numbers from a seed: `random`, and NumPy's as soon as they are imported."""

from __future__ import annotations

import random
import sys
from typing import Any

from pytest_agenttape.process.freeze import layers
from pytest_agenttape.process.freeze.layers import Layer
from pytest_agenttape.process.import_hook import ImportHook


def _numpy_random() -> Any:  # numpy is optional and never imported by us
    return sys.modules.get("numpy.random")


def save(layer: Layer) -> None:
    """Save the state that *layer* has to restore."""
    if layer.plan.random_seed is None:
        return
    layer.saved_random = random.getstate()
    _HOOK.install()
    _save_numpy(layer)


def seed(layer: Layer) -> None:
    """Start the random numbers of *layer*."""
    if layer.plan.random_seed is None:
        return
    random.seed(layer.plan.random_seed)
    _seed_numpy(layer, layer.plan.random_seed)


def are_drawn(layer: Layer) -> bool:
    """Return whether anybody has asked for random numbers while *layer* pinned them."""
    seed = layer.plan.random_seed
    return seed is not None and random.getstate() != random.Random(seed).getstate()


def restore(layer: Layer) -> None:
    """Restore the state from before *layer*, or pass it to the session above that outlives *layer*."""
    above = layers.OPEN[layers.OPEN.index(layer) + 1 :] if layer in layers.OPEN else []
    if layer.saved_random is not None:
        heir = next((each for each in above if each.saved_random is not None), None)
        if heir is None:
            random.setstate(layer.saved_random)  # type: ignore[arg-type]  # it came from getstate
        else:
            heir.saved_random = layer.saved_random
    if layer.saved_numpy is not None:
        heir = next((each for each in above if each.saved_numpy is not None), None)
        if heir is None:
            _numpy_random().set_state(layer.saved_numpy)
        else:
            heir.saved_numpy = layer.saved_numpy


def _save_numpy(layer: Layer) -> None:
    if _numpy_random() is not None:
        layer.saved_numpy = _numpy_random().get_state(legacy=False)


def _seed_numpy(layer: Layer, seed: int) -> None:
    if layer.saved_numpy is not None:
        _numpy_random().seed(seed & 0xFFFFFFFF)


def _adopt() -> None:
    """Pin NumPy's numbers in the open sessions, one of which has imported them; `import numpy` alone does not."""
    with layers.LOCK:
        for layer in layers.OPEN:
            if layer.plan.random_seed is not None and layer.saved_numpy is None:
                _save_numpy(layer)
                _seed_numpy(layer, layer.plan.random_seed)


_HOOK = ImportHook(frozenset({"numpy.random"}), _adopt)
