"""What of a deployment fits and what does not, told before the cloud would."""
