"""One module per verb: composes what is below and returns data; prints nothing."""
