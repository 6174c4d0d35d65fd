"""The close look at one message: what stands against it, and what is found against it now."""

from math import log1p
from typing import Final

from engine.fraud import evidence
from engine.fraud.blocks import CHALLENGE, Block, Verdict, span
from engine.fraud.calm import Calm
from engine.fraud.codes import OPEN
from engine.fraud.figures import PROVEN, STAGES_MS, Figures
from engine.fraud.holding import PROBE_MS, Holding
from engine.fraud.look import Look
from engine.fraud.node import SETTLE_MS, Area, Node

_SURE: Final = 2.2  # log odds that are 90 %
_FAR: Final = -1.0  # log odds below which nothing needs to be asked for a moment
_FEW: Final = 7  # codes under way in a class from which on they may be a crowd
_MANY: Final = 1_000.0  # people a day of a class whom a gate would harm
_UNWELL: Final = 0.7  # health of a network below which its people ask again and again
_FRIENDS: Final = 2  # codes that a number is let pass since it was verified
_Found = tuple[float, Node, bool]


class Judge:
    """See the module's text.

    Args:
        figures: The figures of the guard.
        holding: The blocks of all workspaces.
    """

    __slots__ = ("_figures", "_holding")

    def __init__(self, figures: Figures, holding: Holding) -> None:
        self._figures = figures
        self._holding = holding

    def judge(self, look: Look, kind: int, *, follows: bool) -> Verdict | None:
        """The strongest thing there is against a message, or None.

        Args:
            look: The message.
            kind: Its number's type.
            follows: Whether it has left before, on another way.
        """
        book, figures, now_ms, e164 = look.book, self._figures, look.now_ms, look.e164
        strict = look.strict
        own = book.held.get(e164) if book.holds else None
        held = own.block if own is not None else None
        if held is not None and held.until_ms > now_ms and self._counts(held, look):
            held.denied += 1
            return self._stopped(look, held)
        full = strict.weight >= 1.0
        waiting = book.codes.get(e164)
        asked = full and not follows and waiting is not None and waiting.state == OPEN
        if asked and book.repeats.is_full(e164, now_ms):
            return self._repeated(look)
        trusted = book.trusted
        since = book.known.get(e164)
        if since is not None and since <= _FRIENDS:
            if trusted:
                return None
        else:
            standing = self._standing(look)
            if standing is not None:
                return standing
        b4 = look.b4
        if not trusted:
            if b4 is not None and len(b4.opened) >= figures.blind_window and full:
                return self._velocity(look, b4)
            return None
        region = look.region
        if now_ms - region.at_ms >= SETTLE_MS:
            region.settle(now_ms, figures)
        for gate in look.gates:
            book.weigh_area(gate, now_ms)
        odd, words = look.oddities(kind)
        found = self._wide(look, self._narrow(look, odd))
        if found is not None:
            odds, node, wide = found
            score = evidence.score_of(odds)
            if int(score * strict.weight) >= (strict.block if wide else strict.challenge):
                return self._begin(look, node, score, words)
        full_up = self._windows(look) if full else None
        if full_up is None and (found is None or found[0] < _FAR):
            Calm.give_slack(look.leaves, look.scope, now_ms)
        return full_up

    def _narrow(self, look: Look, odd: float) -> _Found | None:
        """The strongest odds among narrow nodes; the narrowest that is sure comes first."""
        figures, b4, found, now_ms = self._figures, look.b4, None, look.now_ms
        steps, slow_step, well = look.book.leaf_steps(b4, look.scope, now_ms)
        for node in look.leaves:
            if node.block is not None and not node.block.blind:
                continue  # half open: its probes decide
            fast = look.book.weigh(node, steps, well, now_ms)
            slow = 0.0
            if node is b4:
                slow = look.book.weigh_slow(node, slow_step, well, now_ms)
                extra = odd + evidence.prefix_crowd(node, look.region, figures)
            elif b4 is not None and node is look.b3:
                extra = odd + evidence.part_crowd(node, b4, 0.12, figures)
            elif b4 is not None and node is look.b2:
                extra = odd + evidence.part_crowd(node, b4, 0.02, figures)
            elif node.name[0] != "+":
                extra = odd + evidence.fan(node)
            else:
                extra = odd
            if fast + extra > figures.prior - 3.0 or slow > figures.slow_prior - 1.0:
                node.settle(now_ms, figures)
                odds = evidence.leaf_odds(node, fast + extra, slow, now_ms, figures)
                if found is None or (odds > found[0] and found[0] < _SURE):
                    found = (odds, node, False)
        return found

    def _wide(self, look: Look, found: _Found | None) -> _Found | None:
        """The same with wide nodes: one of them has to be much surer than a narrow one."""
        figures, region, now_ms = self._figures, look.region, look.now_ms
        for gate in look.gates:
            if gate.block is not None:
                continue
            extra = 0.0
            if gate.name[-2:-1] == "/":
                if gate.out >= _FEW:
                    extra = evidence.class_crowd(gate, region, figures)
                if look.proof and region.alarms > 1.0:
                    extra += figures.alarm * (region.alarms - 0.5)
            if gate.weight + extra > figures.area_prior - 3.0:
                gate.settle(now_ms, figures)
                if not look.proof and not evidence.is_no_outage(gate, region, now_ms, figures):
                    continue
                harm = log1p(gate.per_day(now_ms, figures) / _MANY)
                odds = gate.weight + extra - figures.area_prior - harm
                if found is None or odds > found[0] + 2.0:
                    found = (odds, gate, True)
        return found

    def _standing(self, look: Look) -> Verdict | None:
        """The strongest block that stands against a message, or None if it may pass as a probe."""
        now_ms = look.now_ms
        worst: Block | None = None
        where: Node | None = None
        for nodes in (look.leaves, look.gates, look.beside):
            for node in nodes:
                block = node.block
                if block is None or not self._counts(block, look):
                    continue
                if block.until_ms <= now_ms and (
                    block.blind or not block.probe_ms or now_ms - block.probe_ms > PROBE_MS
                ):
                    continue
                if worst is None or block.score > worst.score:
                    worst, where = block, node
        if worst is None or where is None:
            return None
        if not worst.wide and not worst.blind:
            odds = evidence.leaf_odds(where, where.walk, where.slow, now_ms, self._figures)
            worst.score = max(worst.score, evidence.score_of(odds))
        worst.denied += 1
        return self._stopped(look, worst)

    @staticmethod
    def _counts(block: Block, look: Look) -> bool:
        """Whether a block stops messages of this purpose."""
        return int(block.score * look.strict.weight) >= look.strict.challenge

    def _windows(self, look: Look) -> Verdict | None:
        """Codes under way at once, where little is known."""
        figures, b4, region = self._figures, look.b4, look.region
        if b4 is not None and len(b4.opened) >= figures.window:
            share = (b4.good + 0.5) / (region.heard + 50.0)
            window = figures.window + 0.5 * min(b4.good, 200.0) + 2.0 * share * region.out
            if len(b4.opened) >= window:
                return self._full(look, b4, len(b4.opened), window)
        for gate in look.gates:
            if gate.out >= figures.area_window:
                gate.fade(look.now_ms, figures)
                window = figures.area_window + max(gate.lately, gate.heard / 50.0)
                if gate.out >= window:
                    return self._full(look, gate, gate.out, window)
        return None

    def _full(self, look: Look, node: Node, out: int, window: float) -> Verdict:
        node.calm_ms = 0
        why = (
            f"{out} codes to {look.label(node)} wait to be typed in, and no more than "
            f"{window:.0f} may at once until more of them are"
        )
        until_ms = look.now_ms + STAGES_MS[2]
        return Verdict(CHALLENGE, "too_many_under_way", why, until_ms, look.strict.challenge)

    # --- blocks ---------------------------------------------------------------------------------

    def _begin(self, look: Look, node: Node, score: int, words: str) -> Verdict:
        """Holds what was found against a node, from now on."""
        book, region, network = look.book, look.region, look.scope.network
        usual = book.usual(network, region, look.now_ms)
        words += look.season()
        if isinstance(node, Area):
            told = evidence.told(node, node.out, look.label(node), network.usual_wide, book.trusted)
            block = Block(True, False, "unverified_class", told + words, score)
            return self._hold(look, node, block)
        told = evidence.told(node, len(node.opened), look.label(node), usual, book.trusted)
        self._explain(look, node)
        code = "unverified_prefix" if node.name[0] == "+" else "unverified_source"
        block = Block(False, False, code, told + words, score)
        block.barren = node.good < PROVEN
        first = min(3, int(region.alarms / 2))
        return self._hold(look, node, block, first // 2 if block.barren else first)

    def _explain(self, look: Look, node: Node) -> None:
        """What happened in a narrow place is no evidence against wider ones, save that it did."""
        prefix, settled = node.name[0] == "+", max(0.0, node.walk)
        for gate in look.gates:
            gate.walk = max(-gate.full * gate.out, gate.walk - settled)
            gate.weighed_ms = 0
        if prefix:
            wider = [
                each for each in look.leaves
                if each.name[0] == "+" and len(each.name) < len(node.name)
            ]  # fmt: skip
            look.book.explain(node, wider, look.place.network)
            if node.block is None:
                look.region.alarms += 1.0 / (1.0 + look.region.out / 50.0)

    def _velocity(self, look: Look, b4: Node) -> Verdict:
        """Many codes into one block of a workspace that tells nothing of their verification."""
        told = (
            f"more than {self._figures.blind_window:.0f} one-time codes to numbers "
            f"{look.label(b4)} within {span(self._figures.number_ms)}"
        )
        b4.opened.clear()
        return self._hold(look, b4, Block(False, True, "prefix_velocity", told, 95))

    def _repeated(self, look: Look) -> Verdict:
        """More codes to one number than are believed.

        Where few codes arrive at present people ask again, and one more would not arrive either.
        Another channel helps them; nothing is held against them.
        """
        repeats, within = look.book.repeats, span(self._figures.number_ms)
        told = f"more than {repeats.codes} one-time codes to one number within {within}"
        if look.book.well(look.scope, look.now_ms) < _UNWELL:
            why = f"{told}, in a network that delivers few at present"
            until_ms = look.now_ms + self._figures.number_ms // repeats.codes
            return Verdict(CHALLENGE, "repeated_number", why, until_ms, look.strict.challenge)
        repeats.levels.pop(look.e164)
        node = look.book.number(look.e164, look.now_ms)
        return self._hold(look, node, Block(False, True, "repeated_number", told, 95))

    def _hold(self, look: Look, node: Node, block: Block, first: int = 0) -> Verdict:
        self._holding.begin(look.workspace, node, block, look.now_ms, first)
        return self._stopped(look, block)

    def _stopped(self, look: Look, block: Block) -> Verdict:
        strict = look.strict
        return self._holding.verdict(block, strict.weight, strict.block, look.now_ms)
