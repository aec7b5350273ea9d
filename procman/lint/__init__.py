"""Rules for files of process managers and engines that procman did not write: pure functions of their content."""
