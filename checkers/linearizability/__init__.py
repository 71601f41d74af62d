"""Linearizability: could the operations have taken effect one after the other, each within its own duration?"""
