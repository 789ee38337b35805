"""Rules of the summary: what a call means, one file a theme. Each file has ``RULES``, a call's name -> its rule."""
