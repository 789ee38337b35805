"""What the tracer recorded: from its ring and its records to events, processes and columns."""
