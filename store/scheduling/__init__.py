"""When something runs.

Begin with `timers`: the core's time and its callbacks to come. `alarm` wakes the core on an event loop. `background`
runs slices of background work while client requests (`latencies`) are fast enough.
"""
