"""What goes over the network.

From the bottom: `udp` (a socket), `datagrams` (sealed and numbered), `messages` (`client_messages`, `peer_messages`,
`changes`), `long_messages` (in fragments: `flow` sends each `outgoing` one, `reassembly` puts those that come together,
`progress` says which fragments have come) and `rpc` (requests with retries, and their replies; `peer`, `incoming`,
`taken`). `rejections` tells a sender why its datagrams can't be opened. `limits` bounds keys and values. Begin with
`rpc`.
"""
