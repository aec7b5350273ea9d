"""The process managers procman drives; a literal dict names them."""
