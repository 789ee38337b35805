"""Rules over the events of a trace, one file for each ATT&CK tactic, and the verdict that they give."""
