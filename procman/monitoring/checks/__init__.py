"""What procman looks at: one function per check, in one table; psutil lives here."""
