"""What metering costs the application, as ratios measured in one run: `python -m bench`."""
