"""
Reliable UDP: all the state, no I/O, no clock.

The way in is `p2pnet.rudp.endpoint.Endpoint`.  A datagram comes to its ``receive_datagram``, which
looks up in the `p2pnet.rudp.roster.Roster` who is at that address.

* A packet of an open connection goes to `p2pnet.rudp.receiving.receive`.  The connection's
  `p2pnet.rudp.inbox.Inbox` makes messages of it; acks are for its `p2pnet.rudp.outbox.Outbox`,
  pings and probes for its `p2pnet.rudp.path.Path`.
* What opens a connection goes to `p2pnet.rudp.admission.Admission`, what ends one to the Roster.
* What is of no connection goes to `p2pnet.rudp.strangers.Strangers` or, of NAT punching, to
  `p2pnet.rudp.punch.Introductions`.

A message goes through ``Endpoint.send`` and ``Connection.send`` to the Outbox, and leaves it when
``Endpoint.datagrams_to_send`` asks each connection that may have something: first for what stands
in its Path, then by ``Connection.poll`` for what the Outbox has merged.
"""

__all__: list[str] = []
