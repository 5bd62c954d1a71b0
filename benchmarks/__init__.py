"""How fast the scheduler is: against its peers and against what the machine can do, in one run.

``python -m benchmarks`` runs all cases, ``python -m benchmarks --list`` names them. ``pip install -e '.[bench]'``
brings the peers.
"""
