"""What one step shares across calls: running statistics, recomputation, replicas, observation of layers."""
