"""What only a checkout needs: run by `make`."""
