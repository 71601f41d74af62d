"""SQL databases as systems under test: what their sessions share, and one file for each.

`sql_session` has transactions, the bank and sets in SQL. `postgres` and `mariadb` are single servers, `patroni` and
`galera` clusters of them.
"""
