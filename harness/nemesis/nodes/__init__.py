"""Faults that take nodes down: kills and pauses one by one, storms of them, ambushes that wait for a moment."""
