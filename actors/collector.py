"""Python's cyclic collector, kept away from state that has no cycles.

The collector walks what was made since its last pass, and now and then everything. State only
grows, holds no cycles and lies all over the memory, so a pass over it costs 1 µs an object and
finds nothing: pauses of 40 to 70 ms every few seconds under load, and of seconds with millions of
objects. So hosts freeze what an entry has made (`gc.freeze` moves it out of the collector's sight
in no time; it is still freed when nothing refers to it), and the collector sees only what is made
between two entries: tasks, calls and errors, which may well have cycles.
"""

import gc
import sys
from typing import Final

# How long a thread may hold the interpreter while another waits. With Python's 5 ms a commit's
# thread would wait that long for a busy loop, at each of its steps; with 0.2 ms threads that wake
# each other cost an eighth of all CPU time at half load.
_SWITCH_S: Final = 0.001


def tune_interpreter(young: int = 5_000) -> None:
    """Sets the interpreter of an actor's process up for one busy loop and long-lived state.

    Args:
        young: How many more objects there are than at the last pass of the collector when it makes
            another one. A sender's messages come and go by the ten thousand, and have no cycles.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.set_threshold(young, 20, 100)
    gc.collect()
    gc.freeze()


class FreezesState:
    """A context in which state is made: the collector rests in it, and never sees what was made.

    What was under way beside (a task, a call) is frozen with it. That costs something only if it
    ends in a cycle, as an error may, so `thaw` looks at everything when there is time.
    """

    def __enter__(self) -> None:
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.freeze()
        gc.enable()

    def thaw(self) -> None:
        """Collects everything once: a pause of 1 µs an object, for a moment without work."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
