"""malkoha's own REST interface, /api/v1: what Cuckoo's lacks, typed and described by OpenAPI."""
