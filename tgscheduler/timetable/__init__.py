"""When: values and decisions, pure. Nothing in this folder reads a clock, starts a thread or takes a lock."""
