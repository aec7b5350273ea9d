"""Read the process files of an existing deployment (`init --from`): one reader per format, all with the same result."""
