"""The engine: registry, planner, dispatcher, journal, loop and the three schedulers. The only floor with a lock."""
