"""What follows from runs: laws, robust fits, back-tests, forecasts with intervals, seals and scores. No torch."""

from keel.laws.forecast import Forecast, forecast
from keel.laws.law import Law, Row, Target
from keel.laws.seal import score, seal

__all__ = ["Forecast", "Law", "Row", "Target", "forecast", "score", "seal"]
