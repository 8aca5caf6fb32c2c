"""
The reliable channel (BEHAVIOUR §6).
"""

from __future__ import annotations

from typing import Final

from p2pnet.rudp.channels import BaseChannel, Outgoing
from p2pnet.rudp.rtt import NEVER, backed_off
from p2pnet.wire.constants import MAX_SEQUENCE, RELIABLE_ACK_SIZE, WINDOW_SIZE, PacketProperty
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import CHANNELED, RELIABLE_ACK
from p2pnet.wire.sequence import distance

_SLOT_MASK: Final = WINDOW_SIZE - 1
_SEQUENCE_MASK: Final = MAX_SEQUENCE - 1
_ALL_ARRIVED: Final = (1 << WINDOW_SIZE) - 1
"""The bitmap of a receiver that lacks nothing."""
_OVERTAKEN: Final = 3
"""Later transmissions that arrive show that one is lost (RFC 9002 §6.1.1)."""
_DELIVERED: Final = (b"", False)
"""Stands in for an unordered packet that came early and needs no keeping."""


class ReliableChannel(BaseChannel):
    """
    Everything arrives once; in order, if `ordered`.

    :ivar in_flight: sequences between the oldest unacknowledged one and the next to be given.
    :ivar max_in_flight: how many these normally are at most; may be raised at any time.
    """

    is_paced = True

    def __init__(
        self, channel_id: int, connection_number: int, ordered: bool, max_in_flight: int
    ) -> None:
        super().__init__(channel_id, connection_number)
        self._first_of_fragment = first_byte(PacketProperty.CHANNELED, connection_number, True)
        self._ordered = ordered

        self._window: list[Outgoing | None] = [None] * WINDOW_SIZE
        self._start = 0
        self._next = 0
        self.in_flight = 0
        self.max_in_flight = max_in_flight
        self._allowed_in_flight = max_in_flight
        self._probe_at = NEVER
        self._resend_at = NEVER
        self._stalled_since = NEVER
        self._transmissions = 0
        self._holes = 0
        """How many in the window are acknowledged."""

        self._ack_start = 0
        self._ack_bitmap = 0
        self._expected = 0
        self._held: list[tuple[bytes, bool] | None] = [None] * WINDOW_SIZE
        self._early = 0
        """How many of those there are."""

    # ------------------------------------------------------------ sending

    @property
    def unsettled(self) -> bool:
        """
        Something is queued or under way.
        """
        return self.in_flight > 0 or bool(self._queue)

    @property
    def unacknowledged(self) -> int:
        """
        Packets queued or sent of which no acknowledgement has come.
        """
        return len(self._queue) + sum(slot is not None for slot in self._window)

    def poll(self, now: float, delay: float, room: int) -> list[bytes]:
        """
        Packets to send now: an owed ack, packets whose ack is late, and last those sent for the
        first time, of which `fresh` gives the order of submission.

        :param delay: how long to wait for an ack, in seconds.
        :param room: bytes they may take, counting 2 for each as in a merged datagram.
        """
        packets: list[bytes] = []
        self.fresh = []
        if self._ack_owed and room >= RELIABLE_ACK_SIZE + 2:
            self._ack_owed = False
            room -= RELIABLE_ACK_SIZE + 2
            packets.append(
                RELIABLE_ACK.pack(
                    self._first_of_ack, self._ack_start, self.channel_id, self._ack_bitmap
                )
            )
        if now >= self._resend_at:
            room -= self._resend(packets, now, delay, room)
        if self._queue:
            self._fill_window(packets, now, delay, room)
        return packets

    def _resend(self, packets: list[bytes], now: float, delay: float, room: int) -> int:
        used = 0
        earliest = NEVER
        for i in range(self.in_flight):
            outgoing = self._window[(self._start + i) & _SLOT_MASK]
            if outgoing is None:
                continue
            size = len(outgoing.packet) + 2
            if outgoing.resend_at <= now and used + size <= room:
                used += size
                if outgoing.sends == 1:
                    self.lost += 1
                self.lost_size = max(self.lost_size, size - 2)
                outgoing.sends += 1
                outgoing.sent_at = now
                self._transmissions += 1
                outgoing.transmission = self._transmissions
                outgoing.resend_at = now + self._patience(outgoing.sends, delay)
                self.resent += 1
                packets.append(outgoing.packet)
            earliest = min(earliest, outgoing.resend_at)
        self._resend_at = earliest
        return used

    def _patience(self, sends: int, delay: float) -> float:
        """
        How long to wait for the ack of a transmission that is not the first.

        While the window stands still there is nothing else to do than to get it going, and each
        loss costs a round trip: so what is sent again then goes twice, a little apart.
        """
        if not sends % 2 and self._queue and self.in_flight >= self._allowed_in_flight:
            return delay / 2
        return backed_off(delay, sends)

    def _fill_window(self, packets: list[bytes], now: float, delay: float, room: int) -> None:
        if self.in_flight >= self._allowed_in_flight and now >= self._probe_at:
            # A 0.9.5 receiver never acknowledges a duplicate: only a new sequence makes it speak
            # if its last ack was lost.  One more of the reserve for each silence (BEHAVIOUR §6.4).
            self._allowed_in_flight = min(self.in_flight + 1, WINDOW_SIZE)
        queue = self._queue
        window = self._window
        fresh = self.fresh
        channel_id = self.channel_id
        sequence = self._next
        transmission = self._transmissions
        resend_at = now + delay
        for _ in range(min(len(queue), self._allowed_in_flight - self.in_flight)):
            outgoing = queue[0]
            body = outgoing.body
            room -= len(body) + 6
            if room < 0:
                break
            queue.popleft()
            first = self._first_of_fragment if outgoing.fragmented else self._first
            packet = CHANNELED.pack(first, sequence, channel_id) + body
            outgoing.packet = packet
            outgoing.body = b""
            outgoing.sends = 1
            outgoing.sent_at = now
            transmission += 1
            outgoing.transmission = transmission
            outgoing.resend_at = resend_at
            window[sequence & _SLOT_MASK] = outgoing
            sequence = (sequence + 1) & _SEQUENCE_MASK
            packets.append(packet)
            fresh.append(outgoing.order)
        if fresh:
            self.in_flight += len(fresh)
            self._transmissions = transmission
            self._next = sequence
            self._resend_at = min(self._resend_at, resend_at)
            self._probe_at = now + 2 * delay
        if not queue or self.in_flight >= WINDOW_SIZE:
            self._probe_at = NEVER
        elif self._probe_at == NEVER:
            self._probe_at = now + 2 * delay
        if queue and self.in_flight >= self._allowed_in_flight and self._stalled_since == NEVER:
            self._stalled_since = now

    def acknowledge(
        self, start: int, bitmap: int, now: float, delay: float, round_trip: float
    ) -> list[Outgoing]:
        """
        Take a peer's ack; what it confirms for the first time (BEHAVIOUR §6.2).

        :param delay: the present resend delay, in seconds.
        :param round_trip: what it takes to get an answer, in seconds.
        """
        # An ack whose window begins past our oldest sequence describes what we never sent.
        reach = WINDOW_SIZE - distance(self._start, start)
        if start >= MAX_SEQUENCE or not 0 < reach <= WINDOW_SIZE:
            return []
        confirmed: list[Outgoing] = []
        window = self._window
        first = self._start
        # Only what the receiver's window of 64 covers is described by its bitmap.
        for sequence in range(first, first + min(self.in_flight, reach)):
            slot = sequence & _SLOT_MASK
            outgoing = window[slot]
            if outgoing is not None and bitmap >> slot & 1:
                window[slot] = None
                confirmed.append(outgoing)
        passed = 0
        while passed < self.in_flight and window[(first + passed) & _SLOT_MASK] is None:
            passed += 1
        self._start = (first + passed) & _SEQUENCE_MASK
        self.in_flight -= passed
        self._holes += len(confirmed) - passed
        self._allowed_in_flight = self.max_in_flight
        self._probe_at = now + 2 * delay if self._queue else NEVER
        if self._stalled_since != NEVER and self.in_flight < self.max_in_flight:
            self.stalled += now - self._stalled_since
            self._stalled_since = NEVER
        if not self.in_flight:
            self._resend_at = NEVER
        elif confirmed and self._holes:
            # What was sent again a moment ago is confirmed by an ack of its first transmission.
            arrived = [
                outgoing.transmission
                for outgoing in confirmed
                if outgoing.sends == 1 or now - outgoing.sent_at >= round_trip
            ]
            self._hasten_overtaken(max(arrived, default=0) - _OVERTAKEN, now)
        return confirmed

    def _hasten_overtaken(self, latest: int, now: float) -> None:
        """
        Send again at once what was transmitted so long before what has arrived: it is lost, not
        late, be it for the first time or not.
        """
        for i in range(self.in_flight):
            outgoing = self._window[(self._start + i) & _SLOT_MASK]
            if outgoing is not None and outgoing.transmission <= latest:
                outgoing.resend_at = now
                self._resend_at = now

    def next_timeout(self) -> float:
        """
        When `poll` will have something to send again, if nothing happens before.
        """
        return min(self._resend_at, self._probe_at)

    @property
    def idle(self) -> bool:
        """
        `poll` has nothing to send at this moment but what `next_timeout` announces.
        """
        return not self._ack_owed and (
            not self._queue or self.in_flight >= self._allowed_in_flight
        )

    # ------------------------------------------------------------ receiving

    def receive(self, sequence: int, body: bytes, fragmented: bool) -> list[tuple[bytes, bool]]:
        """
        Take one packet; (body, fragmented) of each that became deliverable, in order.
        """
        # The reference lets expected + 64 in, which kills its channel (PITFALLS D1).
        if sequence >= MAX_SEQUENCE or distance(sequence, self._expected) >= WINDOW_SIZE:
            return []
        ahead = distance(sequence, self._ack_start)
        if ahead < 0:
            return []
        if ahead >= WINDOW_SIZE:
            self._move_ack_window(ahead - WINDOW_SIZE + 1)
        # Duplicates are acknowledged too: their first ack may have been lost (PITFALLS D2).
        self._ack_owed = True
        bit = 1 << (sequence & _SLOT_MASK)
        if self._ack_bitmap & bit:
            return []
        self._ack_bitmap |= bit

        if sequence != self._expected:
            early = (body, fragmented)
            self._early += 1
            self._held[sequence & _SLOT_MASK] = early if self._ordered else _DELIVERED
            return [] if self._ordered else [early]
        deliverable = [(body, fragmented)]
        self._expected = (sequence + 1) % MAX_SEQUENCE
        while (held := self._held[self._expected & _SLOT_MASK]) is not None:
            self._held[self._expected & _SLOT_MASK] = None
            self._early -= 1
            self._expected = (self._expected + 1) % MAX_SEQUENCE
            if self._ordered:
                deliverable.append(held)
        return deliverable

    @property
    def next_in_order(self) -> int:
        """
        The sequence that carries on from all before; -1 while packets wait for an earlier one.
        """
        return -1 if self._early else self._expected

    def receive_in_order(self, count: int) -> None:
        """
        Take so many packets at once, the first of them `next_in_order`: the common case, in which
        each is deliverable and there is nothing to look up.
        """
        self._ack_owed = True
        self._expected = expected = (self._expected + count) & _SEQUENCE_MASK
        ahead = distance(expected, self._ack_start)
        if ahead >= WINDOW_SIZE:
            # All of the window that ends here has arrived.
            self._ack_start = (expected - WINDOW_SIZE) & _SEQUENCE_MASK
            self._ack_bitmap = _ALL_ARRIVED
        else:
            for sequence in range(expected - count, expected):
                self._ack_bitmap |= 1 << (sequence & _SLOT_MASK)

    def _move_ack_window(self, steps: int) -> None:
        if steps >= WINDOW_SIZE:
            self._ack_bitmap = 0
        else:
            for i in range(steps):
                self._ack_bitmap &= ~(1 << ((self._ack_start + i) & _SLOT_MASK))
        self._ack_start = (self._ack_start + steps) % MAX_SEQUENCE
