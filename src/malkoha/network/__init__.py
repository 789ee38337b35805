"""What a guest's network card leads to: a simulated internet in a namespace of its own, or nothing that answers."""
