"""Where an action runs: one executor per method, with the protocol of :mod:`tgscheduler.executors.base`."""
