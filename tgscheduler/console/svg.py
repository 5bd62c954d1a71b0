"""Drawings: inline SVG made on the server. Widths are in percent, so that one drawing fits a phone and a desktop."""
