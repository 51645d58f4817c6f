"""The lecture's chess board as a small multiplayer game on `iocp` (slides "chess board", "multiplayer"; lecture rows 16-19).

The dependency goes one way: the game imports the library, never the reverse. Installed as `iocp.game`; in a checkout
`python -m game` works too. Reading order:

    protocol.py   the wire: every packet's layout, packing and parsing, names, the generated C header
    header.py     the wire as a C header, generated
    world.py      the board and its pieces: no network, no clock, deterministic from a seed
    server.py     ChessServer: packets in, world, packets out to everyone (the lecture's PacketProcess)
    player.py     scripted players on the library's client side, which check all that they are told
    board.py      a live board in the terminal
    serve.py      the command `iocp-chess serve`
    demo.py       the command `iocp-chess demo`: a server, players, a spectator
    cli.py        the command line
"""
