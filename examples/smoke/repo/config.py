"""What an experiment may change. One constant a line, so that a change is one line of a diff."""

LR = 0.0005      # step size of plain SGD
STEPS = 500      # samples seen, one a step
