"""What runs in the guest, with the standard library alone; it imports nothing else of this project."""
