"""The pure core: no I/O, no clock, no threads. Time is an argument; every refusal is an exception of ours."""
