"""What goes over the network.

From the bottom: `udp` (a socket), `datagrams` (sealed and numbered), `messages` (`client_messages`, `peer_messages`,
`changes`), `long_messages` (in fragments) and `rpc` (requests with retries, and their replies; `peer`, `taken`). Of the
long ones, `flow` sends each that is `outgoing`, `reassembly` puts those together that come, and `progress` says which
fragments have. `rejections` tells a sender why its datagrams can't be opened. `limits` bounds keys and values. Begin
with `rpc`.
"""
