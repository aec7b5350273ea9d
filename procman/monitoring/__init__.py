"""Status, health, healing, holds and events of installed programs."""
