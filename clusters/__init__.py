"""Real servers on one machine: each folder has an `up` and a `down`."""
