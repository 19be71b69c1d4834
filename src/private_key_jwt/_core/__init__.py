"""The pure core: no I/O, no clock, no threads. Time is an argument.

An assertion is refused by an InvalidClient, a token request by an InvalidRequest, anything else by a ValueError.
"""
