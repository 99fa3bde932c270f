"""How a running attempt is asked to stop."""
