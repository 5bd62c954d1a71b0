"""Benchmarks of the scheduler, its peers and the bare machine, in one run.

``python -m benchmarks`` runs all cases, ``python -m benchmarks --list`` names them. ``pip install -e '.[bench]'``
installs the peers.
"""
