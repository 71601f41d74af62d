"""Suites: a team's runs, system by workload by faults by settings, as one file says them.

`suite_file` reads it, `suite` does its runs one after another, `suite_page` and `junit` show what came of them.
"""
