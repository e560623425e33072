"""The architectures, one folder each: the registry finds a folder by the ``SPEC`` that its ``model.py`` defines."""
