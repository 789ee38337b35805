"""Rules of others: YARA's, with those that malkoha brings, and Sigma's; kept in sets under MALKOHA_HOME/rules."""
