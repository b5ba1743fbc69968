//! Journeys of the commands over a run directory made by hand.
