"""What the server tells about itself: metrics, log lines and request ids."""
