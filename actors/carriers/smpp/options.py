"""The options of a lane whose carrier is reached by SMPP; see docs/smpp.md."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from actors.carriers.base import InboundOptions, SecretName
from actors.carriers.smpp.receipts import IdDialect
from engine import limits

Milliseconds = Annotated[int, Field(gt=0, le=3_600_000)]
Kind = Annotated[int, Field(ge=0, le=255)]
Statuses = Annotated[tuple[int, ...], Field(max_length=100)]


class SmppOptions(InboundOptions):
    """How a carrier is reached by SMPP, and in which dialect.

    Attributes:
        host: The carrier's host name or address.
        port: Its port.
        system_id: Our name there.
        password: The secret of the settings that holds our password.
        system_type: What some carriers want to be told.
        bind: `transceiver`, or `separate`: binds that send and others that receive.
        binds: How many (of each).
        window: How many submits of one bind may be without an answer.
        tls: Whether the connection is encrypted; the carrier's certificate is then checked.
        tls_ca: A file with the certificate that it is checked with, instead of the system's.
        tls_name: The name that it has to be for, if that is not the host.
        connect_ms: How long connecting may take.
        wait_ms: How long messages wait for a bind before they have failed for now.
        response_ms: How long an answer may take; after it the outcome is unknown.
        enquire_ms: After how long without a word the carrier is asked whether it is there.
        reconnect_ms: From and to: how long it is left alone after an attempt that failed.
        service_type: SMPP's.
        source_ton: What kind of number the sender is; guessed from it if not given.
        source_npi: And by which plan.
        dest_ton: The same for the recipient.
        dest_npi: And its plan.
        alphabet: The carrier's default alphabet: `gsm` (one septet a byte), or `latin1`.
        alphabet_coding: The data_coding of texts in it; if not given 0 for `gsm`, 3 for `latin1`.
        fold: Whether look-alikes are replaced where that makes a text shorter.
        long_messages: `udh`: parts with a header; `sar`: parts with parameters; `payload`: one
            message, which the carrier cuts.
        validity: How the carrier is told when a message is worthless: `relative` or `none`.
        receipts: Whether receipts are asked for.
        receipt_ids: How receipts write ids; see docs/smpp.md.
        rejects: Statuses of the carrier's own that are for good.
        throttles: And those that ask for less traffic.
        query_ms: After how long without a receipt the carrier is asked what became of a message;
            0 for never.
    """

    host: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(gt=0, le=65_535)] = 2_775
    system_id: Annotated[str, Field(max_length=15)] = ""
    password: SecretName | None = None
    system_type: Annotated[str, Field(max_length=12)] = ""
    bind: Literal["transceiver", "separate"] = "transceiver"
    binds: Annotated[int, Field(gt=0, le=limits.SMPP_BINDS)] = 1
    window: Annotated[int, Field(gt=0, le=limits.SMPP_WINDOW)] = 100
    tls: bool = False
    tls_ca: str = ""
    tls_name: str = ""
    connect_ms: Milliseconds = 10_000
    wait_ms: Milliseconds = 10_000
    response_ms: Annotated[int, Field(gt=0, le=55_000)] = 20_000
    enquire_ms: Milliseconds = 30_000
    reconnect_ms: tuple[Milliseconds, Milliseconds] = (500, 30_000)
    service_type: Annotated[str, Field(max_length=5)] = ""
    source_ton: Kind | None = None
    source_npi: Kind | None = None
    dest_ton: Kind | None = None
    dest_npi: Kind | None = None
    alphabet: Literal["gsm", "latin1"] = "gsm"
    alphabet_coding: Kind | None = None
    fold: bool = False
    long_messages: Literal["udh", "sar", "payload"] = "udh"
    validity: Literal["relative", "none"] = "relative"
    receipts: bool = True
    receipt_ids: IdDialect = "auto"
    rejects: Statuses = ()
    throttles: Statuses = ()
    query_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0

    @model_validator(mode="after")
    def _together(self) -> "SmppOptions":
        if self.reconnect_ms[0] > self.reconnect_ms[1]:
            msg = "reconnect_ms goes from the shorter to the longer"
            raise ValueError(msg)
        if (self.tls_ca or self.tls_name) and not self.tls:
            msg = "tls_ca and tls_name are of no use without tls: true"
            raise ValueError(msg)
        return self
