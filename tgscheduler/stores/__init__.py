"""What is remembered of runs, behind the protocol of :mod:`tgscheduler.stores.base`."""
