"""Clients for people: the board in a window (`iocp-chess play`) and in the terminal (`iocp-chess watch`); lecture row 20.

They use the library's own outgoing connections (`iocp.Client`: ConnectEx). Reading order:

    model.py        what a client knows: nothing of windows, terminals, threads; explored.py: where it has been
    connection.py   the server, and back to it when the connection ends; news come to the thread that draws; lookup.py: its address
    walk.py         the player's steps: held keys, a clicked tile; deeds.py: all that it can do, never too soon
    camera.py       tiles and pixels; motion.py: pieces on their way from tile to tile
    looks.py        colours; figures.py: the pieces, drawn by code; fonts.py: a font with Hangul, found on the machine
    tiles.py        the board on the screen; labels.py: places for the names on it
    map.py          small and whole-world maps; panel.py: what stands beside; screen.py: a frame
    keys.py         what keys and the mouse ask for; window.py: the loop; play.py: the command; film.py: pictures without a screen
    watch.py        the same model as text; terminal.py: its keys
"""
