"""Workloads on transactions: lists, registers, a bank, and two that look at the order in which writes become visible.

They need the interfaces `Transactions` and `Bank`. `micro_operations` has the client of most of them. Begin reading at
`append`.
"""
