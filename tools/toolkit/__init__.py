"""What the tools of this folder share: messages, a command line, a cache of whole units, commands with readable failures, Debian's packages and sources."""
