"""The host's side of the channel: what goes into a guest, the session with its agent, what comes out."""
