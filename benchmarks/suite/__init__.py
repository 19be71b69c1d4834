"""The benchmark suite: what a verification costs, beside the bare RSA operation and beside other libraries.

``measuring`` ← ``report`` ← ``corpus`` ← ``crowd``, ``ours`` ← the sections (``targets``, ``peers``, ``stages``,
``load``, ``soak``, ``http``) ← ``plots`` ← ``run.py``.
"""
