"""What tests share: real services on free ports, and their absence said plainly."""
