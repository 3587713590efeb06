"""What is left of a run: one HTML file without script or link, its pictures as SVG, and the figures as JSON."""
