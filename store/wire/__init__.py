"""What goes over the network.

From the bottom: `udp` (a socket), `datagrams` (sealed and numbered), `reassembly` (fragments to messages), `messages`
(`client_messages`, `peer_messages`, `changes`) and `rpc` (requests with retries, and their replies). `rejections` tells
a sender why its datagrams can't be opened. `limits` bounds keys and values. Begin with `rpc`.
"""
