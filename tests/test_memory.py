"""The compiled core's memory: nothing copies or revives an object of it by what Cython would write by itself."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType

import pytest


def compiled_types(both: tuple[ModuleType, ModuleType]) -> list[type]:
    from eslcodec import _codec_c  # type: ignore[attr-defined]

    return [kind for kind in vars(_codec_c).values() if isinstance(kind, type) and kind.__module__ == _codec_c.__name__]


def test_no_compiled_type_has_pickling_that_cython_wrote(both: tuple[ModuleType, ModuleType]) -> None:
    types = compiled_types(both)
    assert {"FrameSplitter", "HeaderReader", "Message", "MessageDecoder", "Store", "Window"} <= {
        kind.__name__ for kind in types
    }
    for kind in types:
        assert not hasattr(kind, "__setstate_cython__")
        assert not hasattr(kind, "__reduce_cython__")


def test_decoders_cannot_be_copied_or_pickled_and_say_so(esl: ModuleType) -> None:
    for held in (esl.Decoder(), esl.FrameSplitter()):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=f"cannot pickle '{type(held).__name__}' object"):
                pickle.dumps(held, protocol)
        with pytest.raises(TypeError, match="cannot pickle"):
            copy.copy(held)


def test_no_compiled_type_makes_a_copy_of_what_it_holds(both: tuple[ModuleType, ModuleType]) -> None:
    window = both[0].Decoder().get_buffer().obj
    with pytest.raises(TypeError, match="cannot pickle 'Window' object"):
        copy.copy(window)
    for kind in compiled_types(both):
        if kind.__name__ not in ("Message", "Place"):
            with pytest.raises(TypeError, match=f"cannot pickle '{kind.__name__}' object"):
                kind.__new__(kind).__reduce__()


def test_an_eslevent_cannot_be_pickled_or_copied_and_says_so(esl: ModuleType) -> None:
    event = esl.ESL.ESLevent("CUSTOM", "my::test")
    with pytest.raises(TypeError, match=r"cannot pickle an ESLevent"):
        copy.copy(event)
    with pytest.raises(TypeError, match=r"cannot pickle an ESLevent"):
        pickle.dumps(event)
