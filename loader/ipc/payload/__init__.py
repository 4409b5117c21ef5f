"""How the pipeline travels to the supervisor: functions by value, arrays beside the pickle, maps by their path."""
