"""All that is measured, in the order in which it is shown."""

from bench import updates

MEASURES = [
    *updates.MEASURES,
]
