"""Every code block of README.md and docs/ is run, or at least bound against what it calls."""
