"""Raw HTTP that no client library sends, and the rules that each server keeps nevertheless. `make fuzz` runs longer."""
