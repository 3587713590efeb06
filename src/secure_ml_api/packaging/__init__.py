"""From a trained model to a signed package: read it apart, convert it, prove that the answers are the same."""
