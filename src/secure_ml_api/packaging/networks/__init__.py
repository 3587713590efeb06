"""Neural networks: seen as any other trained model, turned into a graph, or kept for their framework."""
