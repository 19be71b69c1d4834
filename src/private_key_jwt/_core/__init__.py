"""The core: no I/O, no clock, no threads. Time is an argument, and what is kept between calls changes no result.

An assertion is refused by an InvalidClient, a token request by an InvalidRequest, the response of a publisher by a
FetchError, anything else by a ValueError.
"""
