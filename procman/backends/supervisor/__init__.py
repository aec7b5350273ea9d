"""supervisord: one that is there, or procman's own."""
