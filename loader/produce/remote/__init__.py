"""Workers on other machines: the gateway, which this machine's supervisor forks, and what its actors of Ray run there.

`cluster.cluster` alone imports Ray; in the gateway, after the fork. `actors` runs in an actor.
"""
