"""How fast it all is: beside what a user would take instead, and beside what the machine can do."""
