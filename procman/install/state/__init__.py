"""What procman remembers of an installation: generations, manifest, locks, holds, events."""
