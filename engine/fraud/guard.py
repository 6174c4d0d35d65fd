"""The guard: decides on each paid message to a phone right before it leaves.

Text pumping asks a form for codes to numbers that the attacker earns from. Nobody types these codes
in. So the guard learns, for every prefix, network, country, address and device, which codes are
verified and how long that takes, and tests one against the other as messages age (`book`).

It looks narrow and wide at once. *Narrow* nodes are blocks of 100,000, 10,000, 1,000 and 100
numbers, addresses and devices: fraud that keeps to one of them is stopped there, and nobody else
is. *Wide* nodes are classes of a country's prefixes: those where somebody was verified (0), those
beside one (1), those without history (2). Fraud that is spread thinly over many prefixes leaves no
trace in any, but all of it falls into a class whose codes cease to be verified. A wide node never
blocks: it challenges, and numbers that were verified before pass.

Where nothing is known yet, codes under way at once are limited (a window, which verified codes
widen): a flood is stopped before its first code could have been typed in.

A denied attempt changes no evidence: hammering keeps no block alive.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from engine import limits
from engine.fraud import evidence
from engine.fraud.blocks import BLOCK, CHALLENGE, SHADOW, Block, Verdict, span
from engine.fraud.book import Book
from engine.fraud.calm import FEW, is_calm
from engine.fraud.feeding import feed
from engine.fraud.figures import STAGES_MS, Figures
from engine.fraud.holding import PROBE_MS, Holding, rows_of
from engine.fraud.look import ODD_KINDS, Look
from engine.fraud.node import SETTLE_MS, Node
from engine.fraud.places import DIGITS, Places
from engine.fraud.policy import ALLOWED, BLOCKED, MONITOR, GuardPolicy
from engine.fraud.repeats import Repeats
from engine.messages.message import OTP

# Channels on which somebody earns from a message that arrives.
PAID_PHONE_CHANNELS: Final = frozenset({"sms", "mms", "voice", "whatsapp", "rcs"})
NO_FACTS: Final[Mapping[str, str]] = {}
FORMAT: Final = 2
_OLD_FORMAT: Final = 1
_USUAL_POLICY: Final = GuardPolicy()
_SURE: Final = 2.2  # log odds that are 90 %
_Found = tuple[float, Node, bool]


class FraudGuard:
    """See the module's text.

    Args:
        figures: The shape of its tests.

    Attributes:
        counts: How many messages it saw, and what it did.
        changed: Whether it has learnt anything; for whoever writes snapshots to set back.
    """

    def __init__(self, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self._places = Places()
        self._books: dict[str, Book] = {}
        self._policies: dict[str, GuardPolicy] = {}
        self._repeats = Repeats(self._figures.number_codes, self._figures.number_ms)
        self._holding = Holding(self._figures)
        self.counts = dict.fromkeys(("checked", BLOCK, CHALLENGE, SHADOW, "monitored"), 0)
        self.changed = False

    def configure(self, workspace: str, policy: GuardPolicy | None) -> None:
        """Sets what a workspace wants; None is the usual."""
        if policy is None:
            self._policies.pop(workspace, None)
        else:
            self._policies[workspace] = policy

    # --- decisions ------------------------------------------------------------------------------

    def check(
        self,
        workspace: str,
        channel: str,
        purpose: str,
        e164: str,
        now_ms: int,
        facts: Mapping[str, str] = NO_FACTS,
        kind: int = -1,
    ) -> Verdict | None:
        """Whether a message may leave: None, or why not.

        Args:
            workspace: Whose message it is; evidence is kept apart.
            channel: The message's channel.
            purpose: The message's purpose. Only codes (otp) become evidence; other purposes are
                judged by it, with their weight.
            e164: The number, in international form.
            now_ms: The time.
            facts: What is known of who asked: `ip`, `device`, `country` (of the address), and
                `risk`, which is `allow` for a message that is not to be judged.
            kind: The number's type, as libphonenumber counts them; -1 if it is not known.

        Cost: see `python -m bench.pumping --cost`.
        """
        if channel not in PAID_PHONE_CHANNELS:
            return None
        self.counts["checked"] += 1
        policy = self._policies.get(workspace, _USUAL_POLICY)
        strict = policy.of(purpose)
        place = self._places.known.get(e164[:DIGITS]) or self._places.of(e164)
        mode = strict.modes.get(place.region, strict.usual)
        if mode == ALLOWED or (facts and facts.get("risk") == ALLOWED) or policy.is_safe(e164):
            return None
        monitored = policy.monitor or mode == MONITOR
        verdict: Verdict | None
        if mode == BLOCKED:
            why = f"the guard's definition allows no {purpose} messages to {place.region}"
            verdict = Verdict(BLOCK, "geo_blocked", why, now_ms, 100)
        else:
            book = self._books.get(workspace) or self._new_book(workspace, now_ms)
            if now_ms >= book.next_ms:
                self._advance(workspace, book, now_ms)
            look = Look(workspace, book, e164, place, strict, now_ms, facts, self._figures)
            verdict = self._judge(look, kind)
            if purpose == OTP and (verdict is None or monitored):
                self.changed = True
                feed(look, self._figures, self._repeats)
        if verdict is None:
            return None
        if monitored:
            self.counts["monitored"] += 1
            return None
        if verdict.code != "geo_blocked":
            verdict = verdict._replace(action=strict.action_for(verdict.action))
        self.counts[verdict.action] += 1
        return verdict

    def _judge(self, look: Look, kind: int) -> Verdict | None:
        """The strongest thing there is against a message, or None."""
        book, figures, now_ms, e164 = look.book, self._figures, look.now_ms, look.e164
        strict = look.strict
        own = book.nodes.get(e164)
        held = own.block if own is not None else None
        if held is not None and held.until_ms > now_ms and self._counts(held, look):
            held.denied += 1
            return self._stopped(look, held)
        if e164 in book.pending and strict.weight >= 1.0:
            level = self._repeats.level(f"{look.workspace} {e164}", now_ms)
            if level > figures.number_codes - 1 + 1e-9:
                return self._repeated(look)
        trusted = book.trusted
        calm = False
        if book.known.get(e164, 9) <= 2:
            if trusted:
                return None
        else:
            calm = is_calm(look, figures)
            standing = None if calm else self._standing(look)
            if standing is not None:
                return standing
        b4 = look.b4
        if not trusted:
            if b4 is not None and b4.out >= figures.blind_window and strict.weight >= 1.0:
                return self._velocity(look, b4)
            return None
        region = look.region
        if now_ms - region.at_ms >= SETTLE_MS:
            region.settle(now_ms, figures)
        if calm and kind not in ODD_KINDS and region.good >= 1.0 and region.alarms <= 1.0:
            return None  # nothing below could come to a score
        odd, words = look.oddities(kind)
        found = self._narrow(look, odd)
        found = self._wide(look, found)
        if found is not None:
            odds, node, wide = found
            score = int(evidence.score_of(odds) * strict.weight)
            if score >= (strict.block if wide else strict.challenge):
                return self._begin(look, node, wide, evidence.score_of(odds), words)
        return self._windows(look) if strict.weight >= 1.0 else None

    def _narrow(self, look: Look, odd: float) -> _Found | None:
        """The strongest odds among narrow nodes; the narrowest that is sure comes first."""
        figures, b4, found = self._figures, look.b4, None
        for node in look.leaves:
            if node.block is not None and not node.block.blind:
                continue  # half open: its probes decide
            extra = odd
            if node is b4:
                if node.out >= 2:
                    extra += evidence.prefix_crowd(node, look.region, figures)
            elif node is look.b3 and b4 is not None:
                extra += evidence.part_crowd(node, b4, 0.12, figures)
            elif node is look.b2 and b4 is not None:
                extra += evidence.part_crowd(node, b4, 0.02, figures)
            elif node.things is not None and node.name[0] != "+":
                extra += evidence.fan(node)
            if node.walk + extra > figures.prior - 3.0 or node.slow > figures.slow_prior - 1.0:
                node.settle(look.now_ms, figures)
                odds = evidence.leaf_odds(node, extra, look.now_ms, figures)
                if found is None or (odds > found[0] and found[0] < _SURE):
                    found = (odds, node, False)
        return found

    def _wide(self, look: Look, found: _Found | None) -> _Found | None:
        """The same with wide nodes: one of them has to be much surer than a narrow one."""
        figures, region = self._figures, look.region
        for node in look.gates:
            if node.block is not None:
                continue
            extra = 0.0
            if node.name[-2:-1] == "/":
                if node.out >= FEW:
                    extra = evidence.class_crowd(node, region, figures)
                if look.proof and region.alarms > 1.0:
                    extra += figures.alarm * (region.alarms - 0.5)
            if node.walk + extra > figures.area_prior - 3.0:
                node.settle(look.now_ms, figures)
                if not look.proof and not evidence.is_no_outage(node, region, look.now_ms, figures):
                    continue
                odds = node.walk + extra - figures.area_prior
                if found is None or odds > found[0] + 2.0:
                    found = (odds, node, True)
        return found

    def _standing(self, look: Look) -> Verdict | None:
        """The strongest block that stands against a message, or None if it may pass as a probe."""
        now_ms = look.now_ms
        worst: Block | None = None
        where: Node | None = None
        for nodes in (look.leaves, look.gates):
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
            odds = evidence.leaf_odds(where, 0.0, now_ms, self._figures)
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
        if b4 is not None and b4.out >= figures.window:
            share = (b4.good + 0.5) / (region.good + 50.0)
            window = figures.window + 0.5 * min(b4.good, 200.0) + 2.0 * share * region.out
            if b4.out >= window:
                return self._full(look, b4, window)
        for node in look.gates:
            if node.out >= figures.area_window:
                window = figures.area_window + max(node.fresh, node.good / 50.0)
                if node.out >= window:
                    return self._full(look, node, window)
        return None

    def _full(self, look: Look, node: Node, window: float) -> Verdict:
        why = (
            f"{node.out} codes to {look.label(node)} wait to be typed in, and no more than "
            f"{window:.0f} may at once until more of them are"
        )
        until_ms = look.now_ms + STAGES_MS[2]
        return Verdict(CHALLENGE, "too_many_under_way", why, until_ms, look.strict.challenge)

    # --- blocks ---------------------------------------------------------------------------------

    def _begin(self, look: Look, node: Node, wide: bool, score: int, words: str) -> Verdict:
        """Holds what was found against a node, from now on."""
        book, region = look.book, look.region
        network = book.areas.get(look.place.network) or region
        usual, of_region = book.conversions(network, region)
        told = evidence.told(book, node, look.label(node), of_region if wide else usual) + words
        if wide:
            return self._hold(look, node, Block(True, False, "unverified_class", told, score))
        self._explain(look, node)
        code = "unverified_prefix" if node.name[0] == "+" else "unverified_source"
        first = min(3, int(region.alarms / 2))
        return self._hold(look, node, Block(False, False, code, told, score), first)

    def _explain(self, look: Look, node: Node) -> None:
        """What happened in a narrow place is no evidence against wider ones, save that it did."""
        prefix = node.name[0] == "+"
        for wider in look.leaves:
            if prefix and wider.name[0] == "+" and len(wider.name) < len(node.name):
                past = max(0.0, node.walk - self._figures.left)
                wider.walk = max(0.0, wider.walk - past)
        for wider in look.gates:
            wider.walk = max(0.0, wider.walk - node.walk)
        if prefix and node.block is None:
            look.region.alarms += 1.0 / (1.0 + look.region.out / 50.0)

    def _velocity(self, look: Look, b4: Node) -> Verdict:
        """Many codes into one block of a workspace that tells nothing of their verification."""
        told = (
            f"more than {self._figures.blind_window:.0f} one-time codes to numbers "
            f"{look.label(b4)} within {span(self._figures.number_ms)}"
        )
        b4.out = 0
        b4.reset_ms = look.now_ms
        return self._hold(look, b4, Block(False, True, "prefix_velocity", told, 95))

    def _repeated(self, look: Look) -> Verdict:
        codes, within = self._repeats.codes, span(self._figures.number_ms)
        told = f"more than {codes} one-time codes to {look.e164} within {within}"
        self._repeats.drop(f"{look.workspace} {look.e164}")
        node = look.book.node(look.e164, look.now_ms)
        return self._hold(look, node, Block(False, True, "repeated_number", told, 95))

    def _hold(self, look: Look, node: Node, block: Block, first: int = 0) -> Verdict:
        self.changed = True
        self._holding.begin(look.workspace, node, block, look.now_ms, first)
        return self._stopped(look, block)

    def _stopped(self, look: Look, block: Block) -> Verdict:
        strict = look.strict
        return self._holding.verdict(block, strict.weight, strict.block, look.now_ms)

    # --- evidence -------------------------------------------------------------------------------

    def outcome(self, workspace: str, e164: str, what: str, at_ms: int) -> None:
        """What became of a code: the guard learns from it.

        Args:
            workspace: Whose.
            e164: The number it went to.
            what: `verified`; `expired` (it was not typed in, and will not be); `undelivered` (it
                never arrived, which says nothing); `legit` and `fraud` (somebody says so).
            at_ms: When.
        """
        book = self._books.get(workspace) or self._new_book(workspace, at_ms)
        if at_ms >= book.next_ms:
            self._advance(workspace, book, at_ms)
        self.changed = True
        if what == "verified":
            self._repeats.drop(f"{workspace} {e164}")
            book.verified(e164, at_ms)
        elif what == "expired":
            book.expire(e164, at_ms)
        elif what == "undelivered":
            book.take_back(e164)
        elif what == "legit":
            self._legit(book, e164, at_ms)
        elif what == "fraud":
            self._fraud(workspace, book, e164, at_ms)
        if book.failed or book.opened:
            self._holding.probed(workspace, book, at_ms)

    def _legit(self, book: Book, e164: str, at_ms: int) -> None:
        """Somebody vouches for a number: its blocks are half open at once."""
        book.verified(e164, at_ms)
        for name in (e164, e164[:-2], e164[:-3], e164[:-4], e164[:-5]):
            node = book.nodes.get(name)
            if node is not None:
                node.walk = max(0.0, node.walk - 1.0)
                if node.block is not None:
                    node.block.until_ms = min(node.block.until_ms, at_ms)

    def _fraud(self, workspace: str, book: Book, e164: str, at_ms: int) -> None:
        """Somebody says that a number is of fraud: it is blocked for the longest term."""
        book.known.pop(e164, None)
        for name in (e164[:-2], e164[:-3], e164[:-4]):
            node = book.node(name, at_ms)
            node.walk = min(self._figures.walk_top, node.walk + 2.0)
        block = Block(False, True, "reported", f"{e164} was reported as fraud", 99)
        self._holding.begin(workspace, book.node(e164, at_ms), block, at_ms, 20)

    def _advance(self, workspace: str, book: Book, now_ms: int) -> None:
        book.advance(now_ms)
        if book.failed or book.opened:
            self._holding.probed(workspace, book, now_ms)

    # --- for status pages and restarts ----------------------------------------------------------

    def blocks(self, now_ms: int) -> list[dict[str, Any]]:
        """The blocks that stand now, for a status page."""
        return self._holding.shown(now_ms)

    def new_blocks(self) -> list[tuple[str, list[Any]]]:
        """The blocks since the last call, each with what `restore` takes; to be kept at once."""
        return self._holding.news()

    def snapshot(self) -> list[Any]:
        """What a restart must not forget, as plain values. Cost: 4 µs a node that is kept."""
        return next(found for found in self.snapshot_slices() if found is not None)

    def snapshot_slices(self) -> Iterator[list[Any] | None]:
        """Yields None after each slice of a snapshot, then the snapshot; messages may pass between.

        Each node is kept as it is when it is met. Nothing binds one to another, so a snapshot that
        took a few messages is as good as one of an instant. Cost of a slice: at most 2 ms.
        """
        books: dict[str, Any] = {}
        for workspace, book in list(self._books.items()):
            for rows in book.slices():
                if rows is None:
                    yield None
                else:
                    books[workspace] = rows
            yield None
        yield [FORMAT, books, self._holding.rows(), self._repeats.rows()]

    def restore(self, snapshot: list[Any] | None, blocks: Iterable[list[Any]] = ()) -> None:
        """Takes in a snapshot, and blocks that were kept apart since.

        Of a snapshot of the first format only the blocks are taken.

        Raises:
            ValueError: It is of a format that this version does not know.
        """
        version, books, snapped, repeats = snapshot or [FORMAT, {}, [], []]
        if version == _OLD_FORMAT:
            books, snapped, repeats = {}, books, []
        elif version != FORMAT:
            msg = f"a fraud snapshot of format {version} is not known here; this reads {FORMAT}"
            raise ValueError(msg)
        for workspace, rows in books.items():
            self._new_book(workspace, 0).restore(rows)
        self._repeats.restore(repeats)
        for workspace, name, block in rows_of((*snapped, *blocks)):
            at_ms = block.until_ms
            book = self._books.get(workspace) or self._new_book(workspace, at_ms)
            node = book.area(name, at_ms) if block.wide else book.node(name, at_ms)
            self._holding.restore(f"{workspace} {name}", node, block)

    def _new_book(self, workspace: str, now_ms: int) -> Book:
        if len(self._books) >= limits.FRAUD_WORKSPACES:
            del self._books[next(iter(self._books))]
        book = self._books[workspace] = Book(self._figures, now_ms)
        for each in self._books.values():
            each.share(len(self._books))
        return book
