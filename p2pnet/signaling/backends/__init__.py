"""
Where registrations are kept; `p2pnet.signaling.registry` chooses.
"""
