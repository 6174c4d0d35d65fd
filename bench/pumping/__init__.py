"""An open benchmark of guards against text pumping."""
