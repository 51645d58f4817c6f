"""What the set-up tools of this folder share: a cache of whole units, commands with readable failures, Debian's packages and sources."""
