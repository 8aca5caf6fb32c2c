"""
The sequenced channel (BEHAVIOUR §7).
"""

from __future__ import annotations

from p2pnet.rudp.channels import BaseChannel, Outgoing
from p2pnet.rudp.rtt import NEVER, backed_off
from p2pnet.wire.constants import MAX_SEQUENCE, SEQUENCED_ACK_SIZE
from p2pnet.wire.packets import CHANNELED
from p2pnet.wire.sequence import distance


class SequencedChannel(BaseChannel):
    """
    Nothing arrives late or twice; if ``reliable``, the last message arrives.
    """

    is_paced = False

    def __init__(self, channel_id: int, connection_number: int, reliable: bool) -> None:
        super().__init__(channel_id, connection_number)
        self._reliable = reliable
        self._last: Outgoing | None = None
        """The newest packet, until it is acknowledged; earlier ones are never repeated."""
        self._last_sent = 0
        self._last_received = 0

    @property
    def unsettled(self) -> bool:
        """
        Something is queued or under way.
        """
        return self._last is not None or bool(self._queue)

    @property
    def unacknowledged(self) -> int:
        """
        Packets queued, and the newest one if its ack is missing.
        """
        return len(self._queue) + (self._last is not None)

    @property
    def in_flight(self) -> int:
        """
        Packets sent that must be acknowledged, and are not: 0 or 1.
        """
        return int(self._last is not None)

    def poll(self, now: float, delay: float, room: int) -> list[bytes]:
        """
        Packets to send now: an owed ack, then the unacknowledged last one or those sent for the
        first time, of which `fresh` gives the order of submission.
        """
        packets: list[bytes] = []
        self.fresh = []
        if self._ack_owed and room >= SEQUENCED_ACK_SIZE + 2:
            self._ack_owed = False
            room -= SEQUENCED_ACK_SIZE + 2
            packets.append(
                CHANNELED.pack(self._first_of_ack, self._last_received, self.channel_id)
            )
        last = self._last
        if self._queue:
            self._send_queue(packets, now, delay, room)
        elif last is not None and now >= last.resend_at and len(last.packet) + 2 <= room:
            last.sends += 1
            last.resend_at = now + backed_off(delay, last.sends)
            self.resent += 1
            packets.append(last.packet)
        return packets

    def _send_queue(self, packets: list[bytes], now: float, delay: float, room: int) -> None:
        while self._queue and len(self._queue[0].body) + 6 <= room:
            outgoing = self._queue.popleft()
            room -= len(outgoing.body) + 6
            # The first sequence is 1 here, 0 on the reliable channel (WIRE §4.2).
            self._last_sent = (self._last_sent + 1) % MAX_SEQUENCE
            outgoing.packet = (
                CHANNELED.pack(self._first, self._last_sent, self.channel_id) + outgoing.body
            )
            packets.append(outgoing.packet)
            self.fresh.append(outgoing.order)
            if self._reliable:
                outgoing.sends = 1
                outgoing.resend_at = now + delay
                self._last = outgoing

    def acknowledge(self, sequence: int) -> None:
        """
        Take a peer's ack: it counts if it names our newest packet.
        """
        if self._last is not None and sequence == self._last_sent:
            self._last = None

    def next_timeout(self) -> float:
        """
        When the last packet is to be repeated.
        """
        return NEVER if self._last is None else self._last.resend_at

    @property
    def idle(self) -> bool:
        """
        `poll` has nothing to send at this moment but what `next_timeout` announces.
        """
        return not self._ack_owed and not self._queue

    def receive(self, sequence: int, body: bytes, fragmented: bool) -> list[tuple[bytes, bool]]:
        """
        Take one packet; (body, False) if it is newer than all before, else nothing.
        """
        # A fragment cannot be put together here; the reference drops it without ack (BEHAVIOUR §7).
        if fragmented or sequence >= MAX_SEQUENCE:
            return []
        self._ack_owed = self._reliable
        if distance(sequence, self._last_received) <= 0:
            return []
        self.lost += distance(sequence, self._last_received) - 1
        self._last_received = sequence
        return [(body, False)]
