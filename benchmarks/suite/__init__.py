"""The benchmark suite: what a verification costs, beside the bare RSA operation and beside other libraries.

``measuring``, ``hostile`` ← ``report``, ``corpus`` ← ``ours``, ``many_clients`` ← the sections (``targets``, ``peers``,
``stages``, ``load``, ``http``, ``versions``, ``search``) ← ``run.py``.
"""
