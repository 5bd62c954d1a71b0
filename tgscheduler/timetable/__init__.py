"""When tasks fire: pure values and decisions. Nothing in this folder reads a clock, starts a thread or takes a lock."""
