"""What follows from runs: laws, robust fits, back-tests, forecasts with intervals, seals and scores. No torch."""

from keel.laws.forecast import Forecast, forecast
from keel.laws.law import Law, Row, Target

__all__ = ["Forecast", "Law", "Row", "Target", "forecast"]
