"""The cases of keras_vae.schedules: one line per class, or per mode of it."""

from keras_vae import schedules
from tests.conformance.case import Case

CASES = [
    Case(schedules.Constant, {"value": 0.25}),
    Case(schedules.Cyclical, {"period": 8, "rise": 0.25, "cycles": 3, "end": 2.0}),
    Case(schedules.LinearWarmup, {"steps": 10, "start": 0.1}),
    Case(schedules.Sigmoid, {"midpoint": 12.0, "width": 3.0}),
]
