"""The architectures, one file each; a file is found by the ``SPEC`` it defines."""
