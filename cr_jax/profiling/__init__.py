"""From a request to a report: what is costed, stage by stage."""
