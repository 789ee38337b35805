"""The service: Cuckoo 2's REST interface on the table of tasks and the analysis folders."""
