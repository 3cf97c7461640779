"""The fleet while it serves: nodes and replicas, their starts, failures, the spot market, autoscalers."""
