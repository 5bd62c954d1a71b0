"""Timetables and runs in words, over the views of a scheduler."""
