"""Many writes at full speed while everything around them fails; then the ledger and the venue are compared.

``schedule`` draws what goes wrong, ``system`` starts what can fail, ``injector`` makes it fail, ``load`` writes,
``truth`` compares, ``command`` is ``script/bench chaos``.
"""
