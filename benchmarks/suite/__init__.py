"""The benchmark suite: what a verification costs, beside the bare RSA operation and beside other libraries.

``measuring``, ``hostile`` ← ``report``, ``corpus`` ← ``ours`` ← ``paths``, ``many_clients`` ← ``versions`` ← the other
sections ← ``run.py``.
"""
