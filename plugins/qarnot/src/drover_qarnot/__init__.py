"""Jobs on Qarnot's cloud, by its official package."""
