"""The lecture's chess board as a small multiplayer game on `iocp` (slides "chess board", "multiplayer"; lecture rows 16-19).

The dependency goes one way: the game imports the library, never the reverse. Installed as `iocp.game`; in a checkout
`python -m game` works too. Reading order:

    protocol.py   the wire: packing and parsing; packets.py, layout.py, names.py, violation.py, header.py (the generated C header)
    piece.py      players and what they share with monsters; sectors.py: who stands where
    view.py       who is told of whom; crowd.py: what happens when that is too many
    world.py      the board and all that happens on it: no network, no clock, deterministic from a seed
    terrain.py    obstacles; path.py: A* round them; combat.py: hit points, levels
    monsters.py   all monsters, asleep in arrays; monster.py: one that is awake; kinds.py: their scripts; agenda.py: ticks
    survey.py     the whole board for spectators
    server.py     ChessServer: packets in, world, packets out (the lecture's PacketProcess)
    storage.py    players kept in a database; saver.py, rescue.py
    recording.py  all input kept; recorder.py writes it, replay.py reruns it without a network
    vitals.py     the numbers of a server; status.py, metrics.py, board.py, progress.py show them
    player.py     a scripted player on the library's client side, which checks all that it is told; players.py: any number of them
    play/         clients for people: a window, and text in the terminal
    cli.py        the command line; serve.py, demo.py, replay.py; setting.py: what determines a world;
                  quantity.py, loglimit.py: words and log lines
"""
