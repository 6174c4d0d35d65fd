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

from collections.abc import Iterable, Iterator
from typing import Any, Final

from engine import limits
from engine.fraud import keeping
from engine.fraud.blocks import BLOCK, CHALLENGE, DELAY, SHADOW, Block, Verdict
from engine.fraud.book import Book
from engine.fraud.calm import Calm
from engine.fraud.codes import OPEN, Scope
from engine.fraud.figures import PROVEN, Figures
from engine.fraud.holding import Holding, rows_of
from engine.fraud.judging import Judge
from engine.fraud.look import Look, abroad, scope_of, sources_of
from engine.fraud.node import Node
from engine.fraud.nodes import NUMBER
from engine.fraud.numbers import Seal
from engine.fraud.places import DIGITS, Places
from engine.fraud.policy import GuardPolicy
from engine.fraud.strictness import ALLOWED, BLOCKED, MONITOR, Strictness
from engine.messages.message import OTP

# Channels on which somebody earns from a message that arrives.
PAID_PHONE_CHANNELS: Final = frozenset({"sms", "mms", "voice", "whatsapp", "rcs"})
NO_FACTS: Final[dict[str, str]] = {}
FORMAT: Final = 4
_USUAL_POLICY: Final = GuardPolicy()
_NOBODY: Final[list[str]] = []


class FraudGuard:
    """See the module's text.

    Args:
        figures: The shape of its tests.

    Attributes:
        changed: Whether it has learnt anything; for whoever writes snapshots to set back.
    """

    def __init__(self, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self._calm = Calm(self._figures)
        self._places = Places()
        self._seal = Seal()
        self._books: dict[str, Book] = {}
        self._policies: dict[str, GuardPolicy] = {}
        self._holding = Holding(self._figures)
        self._judge = Judge(self._figures, self._holding)
        self._checked = 0
        self._did = dict.fromkeys((BLOCK, CHALLENGE, DELAY, SHADOW, "monitored"), 0)
        self.changed = False

    @property
    def counts(self) -> dict[str, int]:
        """How many messages it saw, and what it did."""
        return {"checked": self._checked, **self._did}

    def configure(self, workspace: str, policy: GuardPolicy | None) -> None:
        """Sets what a workspace wants; None is the usual."""
        if policy is None:
            self._policies.pop(workspace, None)
        else:
            self._policies[workspace] = policy

    # --- decisions ------------------------------------------------------------------------------

    def check(
        self, workspace: str, channel: str, purpose: str, e164: str, now_ms: int,
        facts: dict[str, str] = NO_FACTS, kind: int = -1, *, follows: bool = False,
        leave_by_ms: int = 0,
    ) -> Verdict | None:  # fmt: skip
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
            follows: Whether it is a message that has left on another way before, and is judged
                again: then it is no other code.
            leave_by_ms: Until when it has to leave, if it may be told to wait for another look, as
                its purpose may have it; 0 if not, since it has waited.

        Cost: see `python -m bench.pumping --cost`.
        """
        if channel not in PAID_PHONE_CHANNELS:
            return None
        self._checked += 1
        policy = self._policies.get(workspace, _USUAL_POLICY)
        strict = policy.purposes.get(purpose) or policy.of(purpose)
        if strict.passes:
            return None
        monitored = False
        if facts and facts.get("risk") == ALLOWED:
            return None
        if not strict.quick:
            place = self._places.of(e164)
            mode = strict.mode(place.region)
            if mode == ALLOWED or policy.is_safe(e164):
                return None
            monitored = policy.monitor or mode == MONITOR
            if mode == BLOCKED:
                why = f"the guard's definition allows no {purpose} messages to {place.region}"
                verdict = Verdict(BLOCK, "geo_blocked", why, now_ms, 100)
                return self._answer(verdict, strict, monitored, now_ms, leave_by_ms)
            if strict.deaf and purpose != OTP:
                return None
        book = self._books.get(workspace) or self._new_book(workspace, now_ms)
        if now_ms >= book.next_ms:
            self._advance(workspace, book, now_ms)
        scope: Scope | None
        nodes = book.nodes
        b4 = nodes.get(e164[:-4])
        if b4 is not None and b4.scope is not None and b4.good >= PROVEN:
            b5, scope, proof = b4.wider, b4.scope, 0
        else:
            b5, proof = nodes.get(e164[:-5]), 2
            if b4 is not None and b4.good >= PROVEN:
                proof = 0
            elif b5 is not None and b5.good >= PROVEN:
                proof = 1
            place = self._places.known.young.get(e164[:DIGITS]) or self._places.of(e164)
            scope = book.scopes[proof].get(place.network)
            if proof == 0 and b4 is not None:
                b4.wider, b4.scope = b5, scope
        sources = _NOBODY
        if facts:
            sources = sources_of(facts)
            where = facts.get("country")
            if where and (scope is None or scope.region.name != where):
                scope = None  # he may be abroad
        if scope is not None and self._calm.is_calm(book, e164, scope, b5, b4, kind, now_ms):
            if purpose != OTP:
                return None
            waiting = book.codes.get(e164)
            if not sources or self._calm.are_calm(book, sources, now_ms):
                if waiting is None or waiting.state != OPEN:
                    self.changed = True
                    book.send(e164, b5, b4, scope, sources, now_ms, proof == 0)
                    return None
                if follows or book.ask_again(waiting, now_ms):
                    return None
        place = self._places.of(e164)
        away = abroad(facts, place.region) if facts else ""
        region = book.area(place.region, now_ms)
        wide = scope_of(book, place, region, proof, away, now_ms)
        look = Look(workspace, book, e164, place, strict, wide, b5, b4, proof, sources, now_ms)
        found = self._judge.judge(look, kind, follows=follows)
        if purpose == OTP and (found is None or monitored):
            self.changed = True
            if not follows or e164 not in book.codes:
                _leave(look, sources)
        if found is None:
            return None
        return self._answer(found, strict, monitored, now_ms, leave_by_ms)

    def _answer(
        self, verdict: Verdict, strict: Strictness, monitored: bool, now_ms: int, leave_by_ms: int
    ) -> Verdict | None:
        """A verdict as the workspace wants it."""
        self.changed = True
        if monitored:
            self._did["monitored"] += 1
            return None
        if verdict.code != "geo_blocked":
            verdict = verdict._replace(action=strict.action_for(verdict.action))
        look_ms = now_ms + strict.delay_ms
        if verdict.action == CHALLENGE and now_ms < look_ms < leave_by_ms:
            verdict = verdict._replace(action=DELAY, until_ms=look_ms)
        self._did[verdict.action] += 1
        return verdict

    def passes(self, workspace: str, channel: str, purpose: str) -> bool:
        """Whether `check` would let all messages of a kind leave, and learn nothing of them.

        Who does not ask for them then tells how many there were by `passed`.
        """
        if channel not in PAID_PHONE_CHANNELS:
            return False
        return self._policies.get(workspace, _USUAL_POLICY).of(purpose).passes

    def passed(self, messages: int) -> None:
        """Counts messages of which `passes` is true."""
        self._checked += messages

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
        own = book.held.get(e164) if book.holds else None
        prefixes = [book.nodes.get(e164[:-digits]) for digits in (2, 3, 4, 5)]
        for node in (own, *prefixes):
            if node is not None:
                node.walk = max(0.0, node.walk - 1.0)
                if node.block is not None:
                    node.block.until_ms = min(node.block.until_ms, at_ms)

    def _fraud(self, workspace: str, book: Book, e164: str, at_ms: int) -> None:
        """Somebody says that a number is of fraud: it is blocked for the longest term."""
        book.known.pop(e164)
        for name in (e164[:-2], e164[:-3], e164[:-4]):
            node = book.node(name, at_ms)
            node.walk = min(self._figures.walk_top, node.walk + 2.0)
            node.calm_ms = 0
        block = Block(False, True, "reported", "the number was reported as fraud", 99)
        self._holding.begin(workspace, book.number(e164, at_ms), block, at_ms, 20)

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
            for rows in keeping.slices(book, self._seal):
                if rows is None:
                    yield None
                else:
                    books[workspace] = rows
            yield None
        yield [FORMAT, books, self._holding.rows(), self._seal.secret]

    def restore(self, snapshot: list[Any] | None, blocks: Iterable[list[Any]] = ()) -> None:
        """Takes in a snapshot, and blocks that were kept apart since.

        Of a snapshot of the first format only the blocks are taken.

        Raises:
            ValueError: It is of a format that this version does not know.
        """
        books: Any  # another thing in each format, and the same name
        snapped: Any
        version, books, snapped, rest = snapshot or [FORMAT, {}, [], b""]
        repeats: list[Any] = []
        if version in (3, FORMAT):  # the third knew no seasons
            self._seal.secret = rest
        elif version == 2:
            books = {name: keeping.of_format_2(rows) for name, rows in books.items()}
            repeats = rest
        elif version == 1:
            books, snapped = {}, books
        else:
            msg = f"a fraud snapshot of format {version} is not known here; this reads {FORMAT}"
            raise ValueError(msg)
        for workspace, rows in books.items():
            keeping.restore(self._new_book(workspace, 0), rows)
        for name, level, at_ms in repeats:
            workspace, _, e164 = name.partition(" ")
            if workspace in self._books:
                self._books[workspace].repeats.levels.restore(e164, (level, at_ms))
        for workspace, name, block in rows_of((*snapped, *blocks)):
            at_ms = block.until_ms
            book = self._books.get(workspace) or self._new_book(workspace, at_ms)
            node: Node
            if block.wide:
                node = book.area(name, at_ms)
            elif name.startswith(NUMBER):
                node = book.number(bytes.fromhex(name[len(NUMBER) :]), at_ms)
            elif block.code in ("repeated_number", "reported"):
                node = book.number(name, at_ms)  # older versions wrote it in clear
            else:
                node = book.node(name, at_ms)
            self._holding.restore(f"{workspace} {node.name}", node, block)

    @property
    def secret(self) -> bytes:
        """What numbers are digested with before they are written; empty if nobody has set it."""
        return self._seal.secret

    def seal(self, secret: bytes) -> None:
        """Sets the secret, at most 64 bytes, before anything is written. It goes into snapshots."""
        self._seal.secret = secret
        for workspace, book in self._books.items():
            for number, node in book.held.newest():
                if isinstance(number, str):  # kept as it is by an older version
                    was, node.name = node.name, book.name_of(number)
                    self._holding.rename(f"{workspace} {was}", f"{workspace} {node.name}")

    def _new_book(self, workspace: str, now_ms: int) -> Book:
        if len(self._books) >= limits.FRAUD_WORKSPACES:
            del self._books[next(iter(self._books))]
        book = self._books[workspace] = Book(self._figures, now_ms, self._seal)
        for each in self._books.values():
            each.share(len(self._books))
        return book


def _leave(look: Look, sources: list[str]) -> None:
    """A code leaves that was looked at closely."""
    book, now_ms, e164 = look.book, look.now_ms, look.e164
    waiting = book.codes.get(e164)
    if waiting is not None and waiting.state == OPEN:
        book.ask_again(waiting, now_ms)
        return
    since = book.known.get(e164)
    if since is not None:
        book.known.put(e164, since + 1)
    code = book.send(
        e164, look.b5, look.b4, look.scope, sources, now_ms, not look.proof, look.explained()
    )  # fmt: skip
    for nodes in (code.leaves, code.scope.areas, look.beside):
        for node in nodes:
            block = node.block
            if block is not None and block.until_ms <= now_ms and not block.blind:
                book.probe(code, node, block, now_ms)
