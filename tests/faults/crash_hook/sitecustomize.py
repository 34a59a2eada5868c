"""Python imports this by itself at its start wherever this folder is on PYTHONPATH."""

from tests.faults import crashing

crashing.install()
