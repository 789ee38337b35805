"""The data that flows through malkoha, as frozen msgspec structs; no behaviour beyond small properties."""
