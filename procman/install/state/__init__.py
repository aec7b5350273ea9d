"""What procman records about an installation: generations, manifest, locks, holds, events."""
