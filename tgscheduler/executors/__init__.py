"""Where an action runs: one adapter per method, behind the protocol of :mod:`tgscheduler.executors.base`."""
