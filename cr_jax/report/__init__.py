"""The report: one JSON document per model, data set, workload and target."""
