"""The engine: names, the books, the loop and the three schedulers. The only floor with a lock."""
