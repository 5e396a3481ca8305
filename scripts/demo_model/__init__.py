"""Data, networks and training stages of the CogVideoX demo model."""
