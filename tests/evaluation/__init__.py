"""How well the judge does: labelled pairs, synthetic ladders, local edits and mined look-alikes, as one table.

`python -m tests.evaluation` prints it; the tests here run the short form and hold the figures.
"""
